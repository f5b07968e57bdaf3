// A CSR (PKCS#10, RFC 2986) without a library: the little of DER (X.690) that it needs.

import Foundation

/// A CSR in PEM for `name` and a P-256 key, of which `point` is the public half (X9.63, 65 bytes).
///
/// `sign` signs a message with ECDSA and SHA-256, and gives the signature in DER (X9.62).
public func certificationRequest(name: String, point: Data, sign: (Data) throws -> Data) rethrows -> Data {
    let subject = DER.sequence([DER.set([DER.sequence([DER.commonName, DER.utf8(name)])])])
    let information = DER.sequence([DER.version0, subject, DER.p256Header + point, DER.noAttributes])
    let signature = try sign(information)
    let request = DER.sequence([information, DER.ecdsaWithSHA256, DER.bitString(signature)])
    let text = request.base64EncodedString(options: [.lineLength64Characters, .endLineWithLineFeed])
    return Data("-----BEGIN CERTIFICATE REQUEST-----\n\(text)\n-----END CERTIFICATE REQUEST-----\n".utf8)
}

enum DER {
    static let version0 = Data([0x02, 0x01, 0x00])
    static let noAttributes = Data([0xA0, 0x00])
    /// OBJECT IDENTIFIER 2.5.4.3
    static let commonName = Data([0x06, 0x03, 0x55, 0x04, 0x03])
    /// SEQUENCE of OBJECT IDENTIFIER 1.2.840.10045.4.3.2
    static let ecdsaWithSHA256 = Data([0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02])
    /// SubjectPublicKeyInfo of a P-256 key (RFC 5480) up to its 65 bytes of point.
    static let p256Header = Data([
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A, 0x86, 0x48,
        0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ])

    static func sequence(_ parts: [Data]) -> Data { tagged(0x30, parts.reduce(Data(), +)) }
    static func set(_ parts: [Data]) -> Data { tagged(0x31, parts.reduce(Data(), +)) }
    static func utf8(_ text: String) -> Data { tagged(0x0C, Data(text.utf8)) }
    static func bitString(_ bits: Data) -> Data { tagged(0x03, Data([0x00]) + bits) }

    static func tagged(_ tag: UInt8, _ content: Data) -> Data {
        let length = content.count
        if length < 0x80 { return Data([tag, UInt8(length)]) + content }
        if length < 0x100 { return Data([tag, 0x81, UInt8(length)]) + content }
        return Data([tag, 0x82, UInt8(length >> 8), UInt8(length & 0xFF)]) + content
    }
}
