import java.io.FileInputStream;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateRevokedException;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * Checks a certificate as a Java server does, every certificate below the root for its revocation too:
 * java Validate.java ocsp|crl ca.pem chain.pem
 * Prints "good", "revoked", its reason and its time, or what else the validator found.
 */
public class Validate {
    private static final String USAGE = "usage: java Validate.java ocsp|crl ca.pem chain.pem";

    public static void main(String[] words) throws Exception {
        if (words.length != 3 || !(words[0].equals("ocsp") || words[0].equals("crl"))) {
            stop(USAGE);
        }
        List<Certificate> roots = read(words[1]);
        List<Certificate> chain = upToTheRoot(read(words[2]), roots);
        CertPathValidator validator = CertPathValidator.getInstance("PKIX");
        PKIXRevocationChecker checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        // Without NO_FALLBACK it would try the other of the two, and hide that the first does not work.
        checker.setOptions(
            words[0].equals("crl") ? EnumSet.of(Option.PREFER_CRLS, Option.NO_FALLBACK) : EnumSet.of(Option.NO_FALLBACK));
        Set<TrustAnchor> anchors = new HashSet<>();
        for (Certificate root : roots) {
            anchors.add(new TrustAnchor((X509Certificate) root, null));
        }
        PKIXParameters parameters = new PKIXParameters(anchors);
        parameters.addCertPathChecker(checker);
        try {
            validator.validate(CertificateFactory.getInstance("X.509").generateCertPath(chain), parameters);
            System.out.println("good");
        } catch (CertPathValidatorException found) {
            if (found.getCause() instanceof CertificateRevokedException) {
                CertificateRevokedException revoked = (CertificateRevokedException) found.getCause();
                System.out.println("revoked " + revoked.getRevocationReason() + " " + revoked.getRevocationDate().toInstant());
            } else {
                System.out.println(found.getReason() + " " + found.getMessage());
            }
        }
    }

    /** While a root is replaced, a cross-certificate follows the chain: it is for who trusts only the other root. */
    private static List<Certificate> upToTheRoot(List<Certificate> chain, List<Certificate> roots) {
        for (int i = 0; i < chain.size(); i++) {
            for (Certificate root : roots) {
                try {
                    chain.get(i).verify(root.getPublicKey());
                    return chain.subList(0, i + 1);
                } catch (GeneralSecurityException anotherSignedIt) {
                    continue;
                }
            }
        }
        return chain;
    }

    private static List<Certificate> read(String file) {
        List<Certificate> certificates = new ArrayList<>();
        try (FileInputStream pem = new FileInputStream(file)) {
            certificates.addAll(CertificateFactory.getInstance("X.509").generateCertificates(pem));
        } catch (IOException | CertificateException unreadable) {
            stop(file + " cannot be read: " + unreadable.getMessage() + "\n" + USAGE);
        }
        if (certificates.isEmpty()) {
            stop(file + " has no certificate.\n" + USAGE);
        }
        return certificates;
    }

    private static void stop(String why) {
        System.err.println(why);
        System.exit(2);
    }
}
