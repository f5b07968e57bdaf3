import java.io.FileInputStream;
import java.io.IOException;
import java.net.URL;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Connects to each server that is named, as trust store and host:port in turn, and prints what came of it. */
public class Knock {
    public static void main(String[] words) throws Exception {
        for (int i = 0; i < words.length; i += 2) {
            HttpsURLConnection connection = (HttpsURLConnection) new URL("https://" + words[i + 1] + "/").openConnection();
            connection.setSSLSocketFactory(trusting(words[i]).getSocketFactory());
            connection.setReadTimeout(5000);
            try {
                System.out.println(connection.getResponseCode());
            } catch (IOException error) {
                System.out.println(error.toString().replace("\n", " "));
            }
        }
    }

    private static SSLContext trusting(String file) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        try (FileInputStream pem = new FileInputStream(file)) {
            int number = 0;
            for (var each : CertificateFactory.getInstance("X.509").generateCertificates(pem)) {
                trusted.setCertificateEntry("ca-" + number++, each);
            }
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
