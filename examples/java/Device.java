import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.cert.CertificateException;
import java.security.cert.X509Certificate;
import java.util.Base64;
import java.util.List;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;

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
                case "secure 2" -> answer(connection(words[1], identified(trusted())));
                case "secure 3" -> answer(connection(words[1], identified(pinned(words[2]))));
                case "renew 3" -> answer(posting(connection(words[1], identified(trusted())), words[2]));
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
        return context(null, trusted());
    }

    /** Mutual TLS: the device proves itself too. */
    private static SSLContext identified(X509ExtendedTrustManager trust) throws GeneralSecurityException, IOException {
        KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
        keys.init(store("device.p12"), password());
        return context(keys.getKeyManagers(), trust);
    }

    private static SSLContext context(KeyManager[] keys, TrustManager trust) throws GeneralSecurityException {
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(keys, new TrustManager[] {trust}, null);
        return context;
    }

    private static X509ExtendedTrustManager trusted() throws GeneralSecurityException, IOException {
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(store("trust.p12"));
        return (X509ExtendedTrustManager) trust.getTrustManagers()[0];
    }

    /** Trusts, of those whom trust.p12 leads to, only a server whose key is one of these pins. */
    private static X509ExtendedTrustManager pinned(String pins) throws GeneralSecurityException, IOException {
        return new Pinned(trusted(), List.of(pins.split(";")));
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

    /**
     * The usual verification, and then pins, written as curl's --pinnedpubkey takes them. Part of the handshake: Java makes
     * a new connection by itself where the first one is cut off.
     */
    private static class Pinned extends X509ExtendedTrustManager {
        private final X509ExtendedTrustManager usual;
        private final List<String> pins;

        Pinned(X509ExtendedTrustManager usual, List<String> pins) {
            this.usual = usual;
            this.pins = pins;
        }

        private void requirePinned(X509Certificate server) throws CertificateException {
            String shown;
            try {
                byte[] digest = MessageDigest.getInstance("SHA-256").digest(server.getPublicKey().getEncoded());
                shown = "sha256//" + Base64.getEncoder().encodeToString(digest);
            } catch (NoSuchAlgorithmException impossible) {
                throw new CertificateException(impossible);
            }
            if (!pins.contains(shown)) {
                throw new CertificateException("the server's key is not pinned: " + shown);
            }
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String kind, Socket socket) throws CertificateException {
            usual.checkServerTrusted(chain, kind, socket);
            requirePinned(chain[0]);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String kind, SSLEngine engine) throws CertificateException {
            usual.checkServerTrusted(chain, kind, engine);
            requirePinned(chain[0]);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String kind) throws CertificateException {
            usual.checkServerTrusted(chain, kind);
            requirePinned(chain[0]);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String kind, Socket socket) throws CertificateException {
            usual.checkClientTrusted(chain, kind, socket);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String kind, SSLEngine engine) throws CertificateException {
            usual.checkClientTrusted(chain, kind, engine);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String kind) throws CertificateException {
            usual.checkClientTrusted(chain, kind);
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return usual.getAcceptedIssuers();
        }
    }
}
