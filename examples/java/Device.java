import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLException;
import javax.net.ssl.TrustManagerFactory;

/**
 * A device in Java, with nothing but the JDK; keytool makes its key and CSR.
 *
 * <pre>
 * java Device hello https://localhost:8443/hello
 * java Device enroll https://localhost:8445/sign-csr next.csr    by the token in the file token; prints the certificate
 * java Device secure https://localhost:8444/secure ['sha256//...;sha256//...']
 * java Device renew https://localhost:8444/renew next.csr        by device.p12; prints the certificate
 * </pre>
 *
 * Trusts trust.p12, and shows device.p12. The password of both is in the file password.
 */
public class Device {
    private static final String USAGE =
        "usage: java Device hello URL | enroll URL CSR | secure URL [PINS] | renew URL CSR";

    public static void main(String[] words) throws GeneralSecurityException {
        try {
            String answer = switch (words.length == 0 ? "" : words[0] + " " + words.length) {
                case "hello 2" -> answer(connection(words[1], trusting()));
                case "enroll 3" -> answer(posting(byToken(connection(words[1], trusting())), words[2]));
                case "secure 2" -> answer(connection(words[1], identified()));
                case "secure 3" -> answer(pinned(connection(words[1], identified()), words[2].split(";")));
                case "renew 3" -> answer(posting(connection(words[1], identified()), words[2]));
                default -> throw new IllegalArgumentException(USAGE);
            };
            System.out.println(answer);
        } catch (IOException | IllegalArgumentException failed) {
            System.err.println(failed);
            System.exit(1);
        }
    }

    /** One-way TLS: the server proves itself by a CA in trust.p12, and by none of Java's own. */
    private static SSLContext trusting() throws GeneralSecurityException, IOException {
        return context(null);
    }

    /** Mutual TLS: the device proves itself too. */
    private static SSLContext identified() throws GeneralSecurityException, IOException {
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store("device.p12"), password());
        return context(keys);
    }

    private static SSLContext context(KeyManagerFactory keys) throws GeneralSecurityException, IOException {
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store("trust.p12"));
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys == null ? null : keys.getKeyManagers(), trust.getTrustManagers(), null);
        return context;
    }

    private static HttpsURLConnection connection(String url, SSLContext context) throws IOException {
        if (!(URI.create(url).toURL().openConnection() instanceof HttpsURLConnection connection)) {
            throw new IllegalArgumentException(url + " is not https");
        }
        connection.setSSLSocketFactory(context.getSocketFactory());
        connection.setConnectTimeout(10_000);
        connection.setReadTimeout(30_000);
        return connection;
    }

    /** Connects, and refuses a server whose key is none of these pins, written as curl's --pinnedpubkey takes them. */
    private static HttpsURLConnection pinned(HttpsURLConnection connection, String[] pins)
            throws GeneralSecurityException, IOException {
        connection.connect();
        byte[] key = connection.getServerCertificates()[0].getPublicKey().getEncoded();
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(key);
        String shown = "sha256//" + Base64.getEncoder().encodeToString(digest);
        if (!List.of(pins).contains(shown)) {
            connection.disconnect();
            throw new SSLException("the server's key is not pinned: " + shown);
        }
        return connection;
    }

    private static HttpsURLConnection byToken(HttpsURLConnection connection) throws IOException {
        connection.setRequestProperty("Authorization", "Bearer " + read("token"));
        return connection;
    }

    private static HttpsURLConnection posting(HttpsURLConnection connection, String csr) throws IOException {
        connection.setDoOutput(true);
        connection.setRequestProperty("Content-Type", "application/pkcs10");
        try (OutputStream body = connection.getOutputStream()) {
            body.write(Files.readAllBytes(Path.of(csr)));
        }
        return connection;
    }

    private static String answer(HttpsURLConnection connection) throws IOException {
        int status = connection.getResponseCode();
        if (status != HttpsURLConnection.HTTP_OK) {
            throw new IOException(status + " " + text(connection, connection.getErrorStream()));
        }
        return text(connection, connection.getInputStream());
    }

    private static String text(HttpsURLConnection connection, InputStream stream) throws IOException {
        try (stream) {
            byte[] body = stream == null ? new byte[0] : stream.readAllBytes();
            // Of an answer that was cut off, Java makes a short one.
            if (body.length < connection.getContentLengthLong()) {
                throw new EOFException("the answer was cut off");
            }
            return new String(body, StandardCharsets.UTF_8);
        }
    }

    private static KeyStore store(String path) throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try (InputStream file = Files.newInputStream(Path.of(path))) {
            store.load(file, password());
        }
        return store;
    }

    private static char[] password() throws IOException {
        return read("password").toCharArray();
    }

    private static String read(String path) throws IOException {
        return Files.readString(Path.of(path)).strip();
    }
}
