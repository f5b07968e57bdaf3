// The walk of a device through examples/kotlin; each step prints a line.
// Arguments: the addresses of the provisioning and the secure listener, the roots' file, the device's name, its token,
// a right pin, and a file with a stranger's root.

package example.hatchery

import android.security.keystore.AndroidKeystore
import java.io.File
import java.security.Security
import okhttp3.CertificatePinner

private fun pinned(pin: String) = CertificatePinner.Builder().add("localhost", "sha256/$pin").build()

private fun said(what: String, step: () -> Any?) {
    val came = try {
        step()
    } catch (error: Refused) {
        "${error.status} ${error.problem}"
    } catch (error: Exception) {
        error.javaClass.simpleName
    }
    println("$what: ${came.toString().replace("\n", " ")}")
}

fun main(words: Array<String>) {
    val (provisioning, secure, roots, name, token) = words
    val (pin, stranger) = words.drop(5)
    Security.addProvider(AndroidKeystore())
    val trusted = File(roots).inputStream().use(::certificates)
    val hatchery = Hatchery(provisioning, secure, trusted, pinned(pin))
    val first = Identity("first")
    val second = Identity("second")

    said("stranger") { Hatchery(provisioning, secure, File(stranger).inputStream().use(::certificates)).enroll(name, token, first) }
    said("wrong pin") { Hatchery(provisioning, secure, trusted, pinned("A".repeat(43) + "=")).enroll(name, token, first) }
    said("wrong token") { hatchery.enroll(name, "hatch_wrong", first) }
    said("no certificate yet") { first.chain == null }
    said("anonymous") { hatchery.get(first) }
    val key = first.publicKey
    said("enrolled") { hatchery.enroll(name, token, first) }
    said("with the key of the first try") { first.publicKey == key }
    said("chain") { first.chain!!.joinToString(" < ") { it.subjectX500Principal.name } }
    said("let in") { hatchery.get(first) }
    said("again") { hatchery.enroll(name, token, first) }
    said("renewed") { hatchery.renew(name, first, second) }
    said("another key") { second.publicKey != key }
    first.forget()
    said("let in by the new one") { hatchery.get(second) }
    said("when") { hatchery.get(second, "/renewal-info") }
    said("somebody else") { hatchery.renew("somebody-else", second, Identity("third")) }
    // OkHttp keeps threads for a minute.
    System.exit(0)
}
