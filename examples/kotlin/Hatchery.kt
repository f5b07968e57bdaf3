// A device in Kotlin, for Android 8 (API 26) or newer, with OkHttp 4 or 5.
//
// It trusts a private root alone and may want a pin besides, enrolls with a token, calls over mutual TLS, and renews.

package example.hatchery

import java.io.IOException
import java.io.InputStream
import java.security.KeyStore
import java.security.cert.X509Certificate
import javax.net.ssl.SSLContext
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager
import okhttp3.CertificatePinner
import okhttp3.MediaType.Companion.toMediaType
import okhttp3.OkHttpClient
import okhttp3.Request
import okhttp3.RequestBody.Companion.toRequestBody

/** Hatchery said no: [status] is HTTP's, [problem] the JSON that says why (RFC 9457). */
class Refused(val status: Int, val problem: String) : IOException("$status: $problem")

/**
 * A Hatchery: its listeners' addresses, the roots that are trusted (and nobody else), and pins, of which one must be
 * that of a key in the server's chain or of its root. Each call is one that blocks, and may raise [IOException].
 */
class Hatchery(
    private val provisioning: String, // https://hatchery.example:8445
    private val secure: String, // https://hatchery.example:8444
    roots: List<X509Certificate>,
    private val pins: CertificatePinner = CertificatePinner.DEFAULT,
) {
    private val trust = trustOf(roots)
    private val anonymous = client(null)

    /** The first certificate: POST /sign-csr with a token. */
    fun enroll(name: String, token: String, identity: Identity) {
        check(identity.chain == null) { "This identity has a certificate: renew it, or enroll another one." }
        identity.prepare()
        val post = post("$provisioning/sign-csr", name, identity).header("Authorization", "Bearer $token")
        answer(anonymous, post.build(), identity::keep)
    }

    /**
     * The next certificate, for a new key: POST /renew, proved by the identity that there is. Once this returns
     * Hatchery has let [next] in, and [now] may be forgotten; until then it is as good as before.
     */
    fun renew(name: String, now: Identity, next: Identity) {
        next.prepare()
        answer(client(now), post("$secure/renew", name, next).build(), next::keep)
        get(next)
    }

    /** What the secure listener answers: JSON. `/renewal-info` says when to renew. */
    fun get(identity: Identity, path: String = "/secure"): String {
        val request = Request.Builder().url(secure + path).build()
        return answer(client(identity), request) { it.readBytes().toString(Charsets.UTF_8) }
    }

    /** One for all requests of an identity, in an app: it keeps connections alive. A new key wants a new client. */
    fun client(identity: Identity?): OkHttpClient {
        val context = SSLContext.getInstance("TLS")
        context.init(identity?.let { arrayOf(OneKey(it)) }, arrayOf(trust), null)
        return OkHttpClient.Builder()
            .sslSocketFactory(context.socketFactory, trust)
            .certificatePinner(pins)
            .build()
    }

    private fun post(url: String, name: String, identity: Identity): Request.Builder {
        val csr = certificationRequest(name, identity.publicKey, identity.key)
        return Request.Builder().url(url).post(csr.toRequestBody("application/x-pem-file".toMediaType()))
    }

    private fun <T> answer(client: OkHttpClient, request: Request, read: (InputStream) -> T): T =
        client.newCall(request).execute().use { answer ->
            val body = answer.body ?: throw IOException("There is no answer.")
            // 202 is no certificate yet: an administrator has to approve the device. Ask again.
            if (answer.code != 200) throw Refused(answer.code, body.string())
            read(body.byteStream())
        }
}

private fun trustOf(roots: List<X509Certificate>): X509TrustManager {
    val store = KeyStore.getInstance(KeyStore.getDefaultType()).apply { load(null) }
    roots.forEachIndexed { number, root -> store.setCertificateEntry("root-$number", root) }
    val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
    factory.init(store)
    return factory.trustManagers.filterIsInstance<X509TrustManager>().single()
}
