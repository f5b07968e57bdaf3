// A device's key in the Android Keystore, and the certificate that was issued for it.

package example.hatchery

import android.security.keystore.KeyGenParameterSpec
import android.security.keystore.KeyProperties
import java.io.InputStream
import java.net.Socket
import java.security.KeyPairGenerator
import java.security.KeyStore
import java.security.Principal
import java.security.PrivateKey
import java.security.PublicKey
import java.security.cert.CertificateFactory
import java.security.cert.X509Certificate
import java.security.spec.ECGenParameterSpec
import javax.net.ssl.X509ExtendedKeyManager

private const val KEYSTORE = "AndroidKeyStore"

/** One entry of the keystore: a key that never leaves it, and once it is enrolled the certificate. */
class Identity(private val alias: String) {
    private val store: KeyStore = KeyStore.getInstance(KEYSTORE).apply { load(null) }

    val key: PrivateKey
        get() = store.getKey(alias, null) as PrivateKey

    val publicKey: PublicKey
        get() = store.getCertificate(alias).publicKey

    /** The device's certificate and those above it; null before there is one that was issued. */
    val chain: Array<X509Certificate>?
        get() {
            val found = store.getCertificateChain(alias)?.map { it as X509Certificate } ?: return null
            // Android gives each new key a certificate that it has signed itself, to have something there.
            if (found[0].issuerX500Principal == found[0].subjectX500Principal) return null
            return found.toTypedArray()
        }

    /**
     * Sees to it that there is a P-256 key without a certificate. One that waits for its answer stays: the same key
     * gets the same certificate again, so that an answer which was lost costs nothing.
     */
    fun prepare() {
        if (store.containsAlias(alias) && chain == null) return
        val wanted = KeyGenParameterSpec.Builder(alias, KeyProperties.PURPOSE_SIGN)
            .setAlgorithmParameterSpec(ECGenParameterSpec("secp256r1"))
            // TLS hands over what it has hashed itself, so NONE; the CSR is hashed by the keystore.
            .setDigests(KeyProperties.DIGEST_NONE, KeyProperties.DIGEST_SHA256)
            .build()
        KeyPairGenerator.getInstance(KeyProperties.KEY_ALGORITHM_EC, KEYSTORE).run {
            initialize(wanted)
            generateKeyPair()
        }
    }

    /** Keeps the certificate that was issued for the key, with its chain: PEM, the device's own first. */
    fun keep(pem: InputStream) {
        val issued = certificates(pem)
        check(issued.isNotEmpty() && issued[0].publicKey.encoded.contentEquals(publicKey.encoded)) {
            "The certificate is not for this key."
        }
        store.setKeyEntry(alias, key, null, issued.toTypedArray())
    }

    fun forget() = store.deleteEntry(alias)
}

/** Shows one identity to a server, whatever certificates it asks for. */
internal class OneKey(private val identity: Identity) : X509ExtendedKeyManager() {
    override fun chooseClientAlias(types: Array<String>?, issuers: Array<Principal>?, socket: Socket?) = "device"
    override fun getClientAliases(type: String?, issuers: Array<Principal>?) = arrayOf("device")
    override fun getCertificateChain(alias: String?): Array<X509Certificate>? = identity.chain
    override fun getPrivateKey(alias: String?): PrivateKey = identity.key
    override fun getServerAliases(type: String?, issuers: Array<Principal>?): Array<String>? = null
    override fun chooseServerAlias(type: String?, issuers: Array<Principal>?, socket: Socket?): String? = null
}

/** The certificates of a PEM file (RFC 7468), in their order: of `res/raw/ca.pem`, say. */
fun certificates(pem: InputStream): List<X509Certificate> =
    CertificateFactory.getInstance("X.509").generateCertificates(pem).map { it as X509Certificate }
