// What Android has and a JVM has not, so that examples/kotlin compiles and runs there: a keystore of that name, in memory.
//
// Each new key has a certificate that it has signed itself, as on Android. A JVM cannot make such a certificate: the tests
// have laid key and certificate ready, in the files 1.p12, 2.p12, ... of the folder that the property "keys" names.

package android.security.keystore

import java.io.File
import java.io.InputStream
import java.io.OutputStream
import java.security.InvalidAlgorithmParameterException
import java.security.Key
import java.security.KeyPair
import java.security.KeyPairGeneratorSpi
import java.security.KeyStore
import java.security.KeyStoreSpi
import java.security.PrivateKey
import java.security.Provider
import java.security.SecureRandom
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.security.spec.ECGenParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration

object KeyProperties {
    const val KEY_ALGORITHM_EC = "EC"
    const val PURPOSE_SIGN = 4
    const val DIGEST_NONE = "NONE"
    const val DIGEST_SHA256 = "SHA-256"
}

class KeyGenParameterSpec private constructor(
    val alias: String, val purposes: Int, val curve: AlgorithmParameterSpec?, val digests: List<String>,
) : AlgorithmParameterSpec {
    class Builder(private val alias: String, private val purposes: Int) {
        private var curve: AlgorithmParameterSpec? = null
        private var digests = listOf<String>()

        fun setAlgorithmParameterSpec(spec: AlgorithmParameterSpec): Builder = apply { curve = spec }

        fun setDigests(vararg names: String): Builder = apply { digests = names.toList() }

        fun build() = KeyGenParameterSpec(alias, purposes, curve, digests)
    }
}

class AndroidKeystore : Provider("AndroidKeyStore", "1.0", "The names of Android's keystore") {
    init {
        put("KeyStore.AndroidKeyStore", Entries::class.java.name)
        put("KeyPairGenerator.EC", Generator::class.java.name)
    }
}

private class Entry(val key: PrivateKey, val chain: Array<out Certificate>)

private val entries = mutableMapOf<String, Entry>()
private var made = 0

class Generator : KeyPairGeneratorSpi() {
    private lateinit var wanted: KeyGenParameterSpec

    override fun initialize(size: Int, random: SecureRandom?) = throw UnsupportedOperationException()

    override fun initialize(spec: AlgorithmParameterSpec, random: SecureRandom?) {
        wanted = spec as KeyGenParameterSpec
        // What TLS and a CSR each need of a key; Android refuses its use for anything that was not named.
        if (wanted.purposes != KeyProperties.PURPOSE_SIGN || (wanted.curve as ECGenParameterSpec).name != "secp256r1" ||
            wanted.digests.toSet() != setOf("NONE", "SHA-256")
        ) throw InvalidAlgorithmParameterException()
    }

    override fun generateKeyPair(): KeyPair {
        made += 1
        val secret = "laid-ready".toCharArray()
        val ready = KeyStore.getInstance("PKCS12")
        File(System.getProperty("keys"), "$made.p12").inputStream().use { ready.load(it, secret) }
        val name = ready.aliases().nextElement()
        val key = ready.getKey(name, secret) as PrivateKey
        entries[wanted.alias] = Entry(key, ready.getCertificateChain(name))
        return KeyPair(ready.getCertificate(name).publicKey, key)
    }
}

class Entries : KeyStoreSpi() {
    override fun engineGetKey(alias: String, password: CharArray?): Key? = entries[alias]?.key
    override fun engineGetCertificateChain(alias: String): Array<out Certificate>? = entries[alias]?.chain
    override fun engineGetCertificate(alias: String): Certificate? = entries[alias]?.chain?.first()
    override fun engineContainsAlias(alias: String) = alias in entries
    override fun engineDeleteEntry(alias: String) { entries.remove(alias) }
    override fun engineLoad(stream: InputStream?, password: CharArray?) = Unit

    override fun engineSetKeyEntry(alias: String, key: Key, password: CharArray?, chain: Array<out Certificate>) {
        // As Android: only the certificate of an entry is replaced so.
        require(entries[alias]?.key === key && password == null)
        entries[alias] = Entry(entries.getValue(alias).key, chain)
    }

    override fun engineAliases(): Enumeration<String> = Collections.enumeration(entries.keys)
    override fun engineSize() = entries.size
    override fun engineIsKeyEntry(alias: String) = alias in entries
    override fun engineIsCertificateEntry(alias: String) = false
    override fun engineGetCreationDate(alias: String): Date = throw UnsupportedOperationException()
    override fun engineGetCertificateAlias(certificate: Certificate): String = throw UnsupportedOperationException()
    override fun engineSetCertificateEntry(alias: String, certificate: Certificate) = throw UnsupportedOperationException()
    override fun engineSetKeyEntry(alias: String, key: ByteArray, chain: Array<out Certificate>) =
        throw UnsupportedOperationException()
    override fun engineStore(stream: OutputStream, password: CharArray?) = throw UnsupportedOperationException()
}
