import java.io.FileInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Date;
import java.util.HexFormat;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.SignerInformationVerifier;
import org.bouncycastle.cms.bc.BcECSignerInfoVerifierBuilder;
import org.bouncycastle.cms.DefaultCMSSignatureAlgorithmNameGenerator;
import org.bouncycastle.operator.DefaultDigestAlgorithmIdentifierFinder;
import org.bouncycastle.operator.DefaultSignatureAlgorithmIdentifierFinder;
import org.bouncycastle.operator.bc.BcDigestCalculatorProvider;
import org.bouncycastle.tsp.ers.ERSByteData;
import org.bouncycastle.tsp.ers.ERSEvidenceRecord;
import org.bouncycastle.tsp.ers.ERSException;
import org.bouncycastle.tsp.TSPException;
import org.bouncycastle.tsp.TimeStampRequestGenerator;

/**
 * Arguments: seconds UTC, then triples of the last signer's certificate, record and data object. For each a
 * line: what the next renewal has to be over, or "refused".
 */
class BouncyCastleErs {
    public static void main(String[] arguments) throws Exception {
        BcDigestCalculatorProvider digests = new BcDigestCalculatorProvider();
        Date now = new Date(Long.parseLong(arguments[0]) * 1000);
        for (int at = 1; at < arguments.length; at += 3) {
            X509CertificateHolder signer =
                new X509CertificateHolder(Files.readAllBytes(Path.of(arguments[at])));
            SignerInformationVerifier verifier = new BcECSignerInfoVerifierBuilder(
                new DefaultCMSSignatureAlgorithmNameGenerator(),
                new DefaultSignatureAlgorithmIdentifierFinder(),
                new DefaultDigestAlgorithmIdentifierFinder(),
                digests).build(signer);
            try (InputStream in = new FileInputStream(arguments[at + 1])) {
                ERSEvidenceRecord record = new ERSEvidenceRecord(in, digests);
                record.validate(verifier);
                record.validatePresent(new ERSByteData(Files.readAllBytes(Path.of(arguments[at + 2]))), now);
                System.out.println(HexFormat.of().formatHex(
                    record.generateTimeStampRenewalRequest(new TimeStampRequestGenerator())
                        .getMessageImprintDigest()));
            } catch (ERSException | TSPException error) {
                System.err.println(error);
                System.out.println("refused");
            }
        }
    }
}
