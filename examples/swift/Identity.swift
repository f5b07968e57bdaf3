// A device's key in the Secure Enclave, its certificate in the keychain, and an identity from a PKCS#12 file.

import CryptoKit
import Foundation
import Security

public enum HatcheryError: Error {
    case keychain(OSStatus)
    case noKey(Error)
    case malformed(String)
    case refused(status: Int, problem: String)
}

/// The P-256 key that the Secure Enclave keeps under `tag`; it is made if there is none.
///
/// Keep to one tag until its certificate has come: the same key gets the same certificate again, so that an answer
/// which was lost costs nothing. The next certificate wants another tag.
public func enclaveKey(tag: String) throws -> SecKey {
    var found: CFTypeRef?
    let query: [String: Any] = [
        kSecClass as String: kSecClassKey, kSecAttrApplicationTag as String: Data(tag.utf8),
        kSecAttrTokenID as String: kSecAttrTokenIDSecureEnclave, kSecUseDataProtectionKeychain as String: true,
        kSecReturnRef as String: true,
    ]
    switch SecItemCopyMatching(query as CFDictionary, &found) {
    case errSecSuccess: return found as! SecKey
    case errSecItemNotFound: return try newKey(tag: tag)
    case let status: throw HatcheryError.keychain(status)
    }
}

private func newKey(tag: String) throws -> SecKey {
    var error: Unmanaged<CFError>?
    // After the first unlock, so that a renewal in the background works; on this device alone, in no backup.
    guard
        let access = SecAccessControlCreateWithFlags(
            nil, kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly, .privateKeyUsage, &error)
    else { throw HatcheryError.noKey(error!.takeRetainedValue()) }
    let kept: [String: Any] = [
        kSecAttrIsPermanent as String: true, kSecAttrApplicationTag as String: Data(tag.utf8),
        kSecAttrAccessControl as String: access,
    ]
    let wanted: [String: Any] = [
        kSecAttrKeyType as String: kSecAttrKeyTypeECSECPrimeRandom, kSecAttrKeySizeInBits as String: 256,
        kSecAttrTokenID as String: kSecAttrTokenIDSecureEnclave, kSecUseDataProtectionKeychain as String: true,
        kSecPrivateKeyAttrs as String: kept,
    ]
    guard let key = SecKeyCreateRandomKey(wanted as CFDictionary, &error)
    else { throw HatcheryError.noKey(error!.takeRetainedValue()) }
    return key
}

/// A CSR in PEM for `name`, signed by the key where it is.
public func request(name: String, key: SecKey) throws -> Data {
    guard let publicKey = SecKeyCopyPublicKey(key),
        let point = SecKeyCopyExternalRepresentation(publicKey, nil) as Data?, point.count == 65
    else { throw HatcheryError.malformed("The key is no P-256 key.") }
    return try certificationRequest(name: name, point: point) { message in
        var error: Unmanaged<CFError>?
        guard
            let signature = SecKeyCreateSignature(
                key, .ecdsaSignatureMessageX962SHA256, message as CFData, &error)
        else { throw HatcheryError.noKey(error!.takeRetainedValue()) }
        return signature as Data
    }
}

/// Puts a certificate into the keychain. With its key there it is an identity; this finds it.
public func keep(_ certificate: SecCertificate) throws -> SecIdentity {
    let item: [String: Any] = [
        kSecClass as String: kSecClassCertificate, kSecValueRef as String: certificate,
        kSecAttrAccessible as String: kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly,
        kSecUseDataProtectionKeychain as String: true,
    ]
    let added = SecItemAdd(item as CFDictionary, nil)
    guard added == errSecSuccess || added == errSecDuplicateItem else { throw HatcheryError.keychain(added) }
    // Of all identities, the one with this very certificate: the other attributes are the key's as well.
    var found: CFTypeRef?
    let query: [String: Any] = [
        kSecClass as String: kSecClassIdentity, kSecUseDataProtectionKeychain as String: true,
        kSecReturnRef as String: true, kSecMatchLimit as String: kSecMatchLimitAll,
    ]
    let status = SecItemCopyMatching(query as CFDictionary, &found)
    guard status == errSecSuccess || status == errSecItemNotFound else { throw HatcheryError.keychain(status) }
    let wanted = SecCertificateCopyData(certificate) as Data
    for identity in found as? [SecIdentity] ?? [] {
        var own: SecCertificate?
        if SecIdentityCopyCertificate(identity, &own) == errSecSuccess, let own = own,
            SecCertificateCopyData(own) as Data == wanted
        {
            return identity
        }
    }
    throw HatcheryError.malformed("The certificate is not for a key of this device.")
}

/// The identity in a PKCS#12 file, and the certificates above it.
///
/// A wrong password is `keychain(errSecAuthFailed)`, and so is a file in the modern form (PBES2) where the system cannot
/// read it: there export the legacy one. On iOS the identity is only in memory; on macOS it is put into the keychain.
public func identity(pkcs12: Data, password: String) throws -> (SecIdentity, [SecCertificate]) {
    var items: CFArray?
    let status = SecPKCS12Import(
        pkcs12 as CFData, [kSecImportExportPassphrase as String: password] as CFDictionary, &items)
    guard status == errSecSuccess else { throw HatcheryError.keychain(status) }
    guard let first = (items as? [[String: Any]])?.first, let found = first[kSecImportItemIdentity as String] else {
        throw HatcheryError.malformed("The PKCS#12 file holds no identity.")
    }
    let chain = first[kSecImportItemCertChain as String] as? [SecCertificate] ?? []
    return (found as! SecIdentity, Array(chain.dropFirst()))
}

/// The certificates of a PEM file (RFC 7468), in their order: of `ca.pem` in the app's bundle, say.
public func certificates(pem: Data) throws -> [SecCertificate] {
    let text = String(decoding: pem, as: UTF8.self)
    let found = text.components(separatedBy: "-----BEGIN CERTIFICATE-----").dropFirst().compactMap { block in
        block.components(separatedBy: "-----END CERTIFICATE-----").first
            .flatMap { Data(base64Encoded: $0, options: .ignoreUnknownCharacters) }
            .flatMap { SecCertificateCreateWithData(nil, $0 as CFData) }
    }
    guard !found.isEmpty else { throw HatcheryError.malformed("There is no certificate in it.") }
    return found
}

/// The pin (RFC 7469: SHA-256 of the SubjectPublicKeyInfo, base64) of a certificate with a P-256 key; nil for another kind.
public func pin(of certificate: SecCertificate) -> String? {
    guard let key = SecCertificateCopyKey(certificate),
        let point = SecKeyCopyExternalRepresentation(key, nil) as Data?, point.count == 65
    else { return nil }
    return Data(SHA256.hash(data: DER.p256Header + point)).base64EncodedString()
}
