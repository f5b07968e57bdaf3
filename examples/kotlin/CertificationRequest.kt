// A CSR (PKCS#10, RFC 2986) without a library: the little of DER (X.690) that it needs.

package example.hatchery

import java.io.ByteArrayOutputStream
import java.security.PrivateKey
import java.security.PublicKey
import java.security.Signature
import java.util.Base64

/** A CSR in PEM for [name], signed by a P-256 key with ECDSA and SHA-256. */
fun certificationRequest(name: String, publicKey: PublicKey, privateKey: PrivateKey): ByteArray {
    val subject = sequence(set(sequence(COMMON_NAME, utf8(name))))
    // The encoding of a public key in Java is its SubjectPublicKeyInfo.
    val information = sequence(VERSION_0, subject, publicKey.encoded, NO_ATTRIBUTES)
    val signature = Signature.getInstance("SHA256withECDSA").run {
        initSign(privateKey)
        update(information)
        sign()
    }
    return pem(sequence(information, ECDSA_WITH_SHA256, bitString(signature)))
}

private val VERSION_0 = bytes(0x02, 0x01, 0x00)
private val NO_ATTRIBUTES = bytes(0xA0, 0x00)

/** OBJECT IDENTIFIER 2.5.4.3 */
private val COMMON_NAME = bytes(0x06, 0x03, 0x55, 0x04, 0x03)

/** SEQUENCE of OBJECT IDENTIFIER 1.2.840.10045.4.3.2 */
private val ECDSA_WITH_SHA256 =
    bytes(0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02)

private fun sequence(vararg parts: ByteArray) = tagged(0x30, parts.reduce(ByteArray::plus))

private fun set(part: ByteArray) = tagged(0x31, part)

private fun utf8(text: String) = tagged(0x0C, text.toByteArray())

private fun bitString(bits: ByteArray) = tagged(0x03, bytes(0x00) + bits)

private fun tagged(tag: Int, content: ByteArray): ByteArray {
    val size = content.size
    require(size < 0x10000) { "More than a CSR can want." }
    val head = when {
        size < 0x80 -> bytes(tag, size)
        size < 0x100 -> bytes(tag, 0x81, size)
        else -> bytes(tag, 0x82, size shr 8, size and 0xFF)
    }
    return head + content
}

private fun bytes(vararg values: Int) = ByteArray(values.size) { values[it].toByte() }

private fun pem(der: ByteArray): ByteArray {
    val out = ByteArrayOutputStream()
    out.write("-----BEGIN CERTIFICATE REQUEST-----\n".toByteArray())
    out.write(Base64.getMimeEncoder(64, "\n".toByteArray()).encode(der))
    out.write("\n-----END CERTIFICATE REQUEST-----\n".toByteArray())
    return out.toByteArray()
}
