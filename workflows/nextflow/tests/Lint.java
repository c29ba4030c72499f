import java.io.File;
import java.util.List;
import nextflow.config.control.ConfigParser;
import nextflow.script.control.Compiler;
import nextflow.script.control.ParanoidWarning;
import nextflow.script.control.ScriptParser;
import org.codehaus.groovy.control.messages.SyntaxErrorMessage;
import org.codehaus.groovy.control.messages.WarningMessage;

/**
 * Lints Nextflow scripts and configuration with the parser of Nextflow's language server: syntax, includes, undefined names, numbers of
 * arguments. It does not know which outputs a process has.
 *
 *   java -cp language-server-all.jar Lint.java FILE...
 */
public class Lint {
    public static void main(String[] files) throws Exception {
        ScriptParser scripts = new ScriptParser();
        ConfigParser configurations = new ConfigParser();
        for (String file : files) {
            if (file.endsWith(".nf")) {
                scripts.parse(new File(file));
            } else {
                configurations.parse(new File(file));
            }
        }
        scripts.analyze();
        configurations.analyze();

        int parsed = 0;
        int found = 0;
        for (Compiler compiler : List.of(scripts.compiler(), configurations.compiler())) {
            for (var source : compiler.getSources().values()) {
                parsed++;
                var collector = source.getErrorCollector();
                var errors = collector.getErrors();
                for (var error : errors == null ? List.of() : errors) {
                    found++;
                    var text = error instanceof SyntaxErrorMessage syntax ? syntax.getCause().getMessage() : error.toString();
                    System.out.println("error: " + source.getName() + ": " + text);
                }
                List<? extends WarningMessage> warnings = collector.getWarnings();
                for (var warning : warnings == null ? List.<WarningMessage>of() : warnings) {
                    if (!(warning instanceof ParanoidWarning)) {
                        found++;
                        System.out.println("warning: " + source.getName() + ": " + warning.getMessage());
                    }
                }
            }
        }
        System.out.printf("%d files, %d errors and warnings%n", parsed, found);
        System.exit(found > 0 || parsed < files.length ? 1 : 0);
    }
}
