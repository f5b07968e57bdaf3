// A device in Swift, for iOS 15 and macOS 12 or newer, with nothing but Foundation, Security and CryptoKit.
//
// It trusts a private root alone and may want a pin besides, enrolls with a token, calls over mutual TLS, and renews.

import Foundation
import Security

/// The delegate of a URLSession: it trusts `roots` and nobody else, wants one of `pins`, and shows `identity`.
public final class Trust: NSObject, URLSessionDelegate {
    private let roots: [SecCertificate]
    private let pins: Set<String>
    private let identity: SecIdentity?
    private let chain: [SecCertificate]

    /// `pins` are those of keys in the server's chain, its root included; none means that no key is pinned.
    /// `chain` is sent after the identity's own certificate.
    public init(
        roots: [SecCertificate], pins: Set<String> = [], identity: SecIdentity? = nil, chain: [SecCertificate] = []
    ) {
        self.roots = roots
        self.pins = pins
        self.identity = identity
        self.chain = chain
    }

    public func urlSession(
        _ session: URLSession,
        didReceive challenge: URLAuthenticationChallenge,
        completionHandler: @escaping (URLSession.AuthChallengeDisposition, URLCredential?) -> Void
    ) {
        switch challenge.protectionSpace.authenticationMethod {
        case NSURLAuthenticationMethodServerTrust:
            guard let trust = challenge.protectionSpace.serverTrust, accepts(trust) else {
                return completionHandler(.cancelAuthenticationChallenge, nil)
            }
            completionHandler(.useCredential, URLCredential(trust: trust))
        case NSURLAuthenticationMethodClientCertificate:
            guard let identity = identity else {
                return completionHandler(.performDefaultHandling, nil)
            }
            completionHandler(
                .useCredential, URLCredential(identity: identity, certificates: chain, persistence: .forSession))
        default:
            completionHandler(.performDefaultHandling, nil)
        }
    }

    private func accepts(_ trust: SecTrust) -> Bool {
        // The server's name is in the policy that URLSession has put in already.
        guard SecTrustSetAnchorCertificates(trust, roots as CFArray) == errSecSuccess,
            SecTrustSetAnchorCertificatesOnly(trust, true) == errSecSuccess,
            SecTrustEvaluateWithError(trust, nil)
        else { return false }
        if pins.isEmpty { return true }
        // The chain that was verified, from the server's certificate to the root; not merely what was sent.
        let verified = SecTrustCopyCertificateChain(trust) as? [SecCertificate] ?? []
        return verified.contains { certificate in pin(of: certificate).map { pins.contains($0) } ?? false }
    }
}

/// A Hatchery: its listeners' addresses, the roots that are trusted (and nobody else), and pins.
public struct Hatchery {
    public let provisioning: URL  // https://hatchery.example:8445
    public let secure: URL  // https://hatchery.example:8444
    public let roots: [SecCertificate]
    public let pins: Set<String>

    public init(provisioning: URL, secure: URL, roots: [SecCertificate], pins: Set<String> = []) {
        self.provisioning = provisioning
        self.secure = secure
        self.roots = roots
        self.pins = pins
    }

    /// The first certificate: `POST /sign-csr` with a token.
    public func enroll(name: String, token: String, key: SecKey) async throws -> SecIdentity {
        var question = try post(provisioning.appendingPathComponent("sign-csr"), name: name, key: key)
        question.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
        let chain = try await answer(question, as: nil)
        return try keep(certificates(pem: chain)[0])
    }

    /// The next certificate, for a new key: `POST /renew`, proved by the identity that there is. Once this returns
    /// Hatchery has let the new one in, and the old one may be forgotten; until then it is as good as before.
    public func renew(name: String, key: SecKey, with old: SecIdentity) async throws -> SecIdentity {
        let chain = try await answer(post(secure.appendingPathComponent("renew"), name: name, key: key), as: old)
        let new = try keep(certificates(pem: chain)[0])
        _ = try await get("secure", as: new)
        return new
    }

    /// What the secure listener answers: JSON. `renewal-info` says when to renew.
    public func get(_ path: String, as identity: SecIdentity) async throws -> Data {
        try await answer(URLRequest(url: secure.appendingPathComponent(path)), as: identity)
    }

    private func post(_ url: URL, name: String, key: SecKey) throws -> URLRequest {
        var question = URLRequest(url: url)
        question.httpMethod = "POST"
        question.httpBody = try request(name: name, key: key)
        question.setValue("application/x-pem-file", forHTTPHeaderField: "Content-Type")
        return question
    }

    /// An app keeps one session for all requests of an identity, and makes a new one after a renewal.
    private func answer(_ question: URLRequest, as identity: SecIdentity?) async throws -> Data {
        let trust = Trust(roots: roots, pins: pins, identity: identity)
        let session = URLSession(configuration: .ephemeral, delegate: trust, delegateQueue: nil)
        defer { session.finishTasksAndInvalidate() }
        let (body, response) = try await session.data(for: question)
        let status = (response as? HTTPURLResponse)?.statusCode ?? 0
        // 202 is no certificate yet: an administrator has to approve the device. Ask again.
        guard status == 200 else {
            throw HatcheryError.refused(status: status, problem: String(decoding: body, as: UTF8.self))
        }
        return body
    }
}
