import java.io.BufferedReader;
import java.io.InputStreamReader;

/** Checks the proofs on standard input, one line of three texts between tabs each, by the sample in the README. */
public final class Driver {
    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null; ) {
            String[] sent = line.split("\t", -1);
            try {
                System.out.println("ok " + Proofs.verify(sent[0], sent[1], sent[2]).getJwtId());
            } catch (Exception error) {
                System.out.println("refused " + error.getMessage().replace('\n', ' '));
            }
        }
    }
}
