/*
 * A stand-in for Nextflow and nf-test, for machines that have neither: runs this folder's pipeline and the nf-test files of its
 * modules, one task after the other, with the real tools. It knows what these files use of Nextflow and no more, so it shows that
 * names, channels, scripts, stubs and outputs fit together; it does not show that Nextflow accepts them (that is the linter's part).
 *
 *   java -cp JAR groovy.ui.GroovyMain stand-in.groovy PIPELINE_FOLDER SCRATCH_FOLDER
 */
import java.nio.file.*
import java.util.zip.GZIPInputStream

class Failure extends RuntimeException {
    Failure(String message) { super(message) }
}

/** A channel: all of its items at once, in an order that no one may rely on. */
class Items {
    List items
    private static final Random random = new Random(1)

    Items(List items) {
        this.items = new ArrayList(items)
        Collections.shuffle(this.items, random)
    }
    Items map(Closure change) {
        new Items(items.collect { item -> item instanceof List && change.maximumNumberOfParameters > 1 ? change.call(*item) : change.call(item) })
    }
    Items mix(Items other) { new Items(items + other.items) }
    Items unique() { new Items(items.toUnique()) }
    Items combine(Items other) {
        new Items(items.collectMany { left -> other.items.collect { right -> (left instanceof List ? left : [left]) + [right] } })
    }
    Items groupTuple(Map options) {
        def groups = items.groupBy { item -> item[options.by] }
        groups.each { key, group ->
            if (group.size() != options.size) throw new Failure("groupTuple: ${group.size()} items of ${key}, not ${options.size}")
        }
        new Items(groups.collect { key, group -> [key] + (1..<group[0].size()).collect { column -> group.collect { item -> item[column] } } })
    }
    /** All items as one. */
    Items collect(Map options) {
        new Items([options.sort instanceof Closure ? items.toSorted(options.sort) : options.sort ? items.toSorted() : items])
    }
}

/** A scope of nextflow.config: nested names, and withName and withLabel in the order in which they stand. */
class Settings {
    Map values = [:]
    List selectors = []
    Settings root
    Stage stage

    def propertyMissing(String name) {
        if (name == 'projectDir') return stage.folder.toString()
        if (name == 'params' && root.values.params) return root.values.params
        if (!values.containsKey(name)) values[name] = new Settings(root: root, stage: stage)
        values[name]
    }
    void propertyMissing(String name, value) {
        if (!(root != null && root.values.params.is(this) && stage.given.containsKey(name))) values[name] = value
    }
    def methodMissing(String name, arguments) {
        if (arguments.size() != 1 || !(arguments[0] instanceof Closure)) throw new MissingMethodException(name, Settings, arguments)
        if (name == 'profiles') return new Profiles(settings: this).with(arguments[0])
        Settings inner = propertyMissing(name)
        inner.fill(arguments[0])
    }
    void withName(String pattern, Closure body) { select('name', pattern, body) }
    void withLabel(String pattern, Closure body) { select('label', pattern, body) }
    private void select(String kind, String pattern, Closure body) {
        def inner = new Settings(root: root, stage: stage)
        inner.fill(body)
        selectors << [kind: kind, pattern: pattern, settings: inner]
    }
    void includeConfig(String path) { stage.readConfig(stage.folder.resolve(path)) }
    void fill(Closure body) {
        def copy = (Closure) body.clone()
        copy.delegate = this
        copy.resolveStrategy = Closure.DELEGATE_ONLY
        copy.call()
    }
    Map plain() { values.collectEntries { name, value -> [(name): value instanceof Settings ? value.plain() : value] } }
}

class Profiles {
    Settings settings
    def with(Closure body) {
        body.delegate = this
        body.resolveStrategy = Closure.DELEGATE_ONLY
        body.call()
    }
    def methodMissing(String name, arguments) {
        if (name in settings.stage.profiles) settings.root.fill(arguments[0])
    }
}

/** What an input or output declares: val, path or eval of something. */
class Part {
    String kind
    def value
    Map options = [:]
}

/** What a section of a process sees: its inputs, `task`, and what it assigns. */
class TaskScope {
    Map values
    boolean namesStand = false
    List declared = []
    /** Paths that no tuple has taken yet: outputs of their own. */
    List alone = []

    def propertyMissing(String name) {
        if (values.containsKey(name)) return values[name]
        if (namesStand) return name
        throw new Failure("No such variable: ${name}")
    }
    void propertyMissing(String name, value) { values[name] = value }
    def val(value) { new Part(kind: 'val', value: value) }
    def path(Map options = [:], value) {
        def part = new Part(kind: 'path', value: value, options: options)
        alone << part
        part
    }
    def eval(String command) { new Part(kind: 'eval', value: command) }
    def error(message) { throw new Failure(message.toString()) }
    def tuple(Map options = [:], Object... parts) {
        alone.removeAll { part -> parts.any { it.is(part) } }
        declared << [options: options, parts: parts as List, tuple: true]
        null
    }
    void declare(Closure body) {
        run(body)
        alone.each { part -> declared << [options: part.options, parts: [part], tuple: false] }
    }
    def run(Closure body) {
        def copy = (Closure) body.clone()
        copy.delegate = this
        copy.resolveStrategy = Closure.DELEGATE_FIRST
        copy.call()
    }
}

/** The inputs of a process: each names its parts, and a part alone is declared as it is called. */
class InputScope extends TaskScope {
    private List open = []
    InputScope() { values = [:]; namesStand = true }
    def val(value) { open << super.val(value); open.last() }
    def path(Map options = [:], value) { open << super.path(options, value); open.last() }
    def tuple(Map options = [:], Object... parts) {
        def alone = open.findAll { part -> !parts.any { it.is(part) } }
        declared.addAll(alone.collect { part -> [parts: [part], tuple: false] })
        declared << [parts: parts as List, tuple: true]
        open.clear()
    }
    void declare(Closure body) { run(body) }
    List finish() {
        open.each { part -> declared << [parts: [part], tuple: false] }
        declared
    }
}

class Process {
    String name
    Map sections = [:]
    Path moduleDir
    Stage stage
    Map out = null

    void section(String kind, Closure body) { sections[kind] = body }

    Map resolved(TaskScope scope) {
        def directives = [label: []]
        def labels = []
        def body = (Closure) sections.directives.clone()
        body.delegate = new Object() {
            def propertyMissing(String variable) { scope.propertyMissing(variable) }
            def methodMissing(String directive, arguments) {
                if (directive == 'label') labels << arguments[0] else directives[directive] = arguments[0]
            }
        }
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
        def settings = directives
        def process = stage.config.values.process
        if (process) {
            settings = process.plain() + directives
            process.selectors.findAll { it.kind == 'label' && labels.any { label -> label ==~ it.pattern } }.each { settings = merged(settings, it.settings.plain()) }
            process.selectors.findAll { it.kind == 'name' && name ==~ it.pattern }.each { settings = merged(settings, it.settings.plain()) }
        }
        settings
    }
    private static Map merged(Map under, Map over) {
        under + over.collectEntries { key, value -> [(key): value instanceof Map && under[key] instanceof Map ? merged(under[key], value) : value] }
    }

    Map call(Object... arguments) {
        def inputs = new InputScope()
        inputs.declare(sections.input)
        def declared = inputs.finish()
        if (declared.size() != arguments.size()) throw new Failure("${name} takes ${declared.size()} inputs, not ${arguments.size()}")
        def channels = arguments.findAll { it instanceof Items }
        if (channels.size() > 1) throw new Failure("${name}: the stand-in knows one channel as input")
        out = [:].withDefault { key -> throw new Failure("${name} has no output called ${key}") }
        def emitted = [:]
        (channels ? channels[0].items : [null]).each { item ->
            def bound = []
            [declared, arguments as List].transpose().each { entry, argument ->
                def value = argument instanceof Items ? item : argument
                def pieces = entry.tuple ? value : [value]
                if (pieces.size() != entry.parts.size()) throw new Failure("${name}: an input has ${entry.parts.size()} parts, not ${pieces.size()}: ${pieces}")
                bound.addAll([entry.parts, pieces].transpose())
            }
            run(bound).each { emit, value -> emitted.get(emit, []).addAll(value) }
        }
        emitted.each { emit, values -> out.put(emit, new Items(values)) }
        stage.said("${name}: ${channels ? channels[0].items.size() : 1} task(s)")
        out
    }

    /** One task: emit name -> list of no or one item. */
    private Map run(List bound) {
        def folder = Files.createDirectories(stage.scratch.resolve("work/${++stage.tasks}"))
        def scope = new TaskScope(values: [moduleDir: moduleDir.toString(), params: stage.config.values.params ?: [:], workflow: [containerEngine: null]])
        bound.each { part, value ->
            if (part.kind == 'val') {
                scope.values[part.value] = value
                return
            }
            def staged = (value instanceof List ? value : [value]).collect { file ->
                def source = Paths.get(file.toString()).toAbsolutePath()
                if (!Files.exists(source)) throw new Failure("${name}: no such file: ${source}")
                def target = part.options.stageAs ? part.options.stageAs.replace('*', source.fileName.toString()) : source.fileName.toString()
                def link = folder.resolve(target)
                if (link.parent != folder) Files.createDirectories(link.parent)
                if (Files.exists(link)) throw new Failure("${name}: two inputs are called ${target}")
                Files.createSymbolicLink(link, source)
                target
            }
            scope.values[part.value] = staged.join(' ')
        }
        scope.values.task = [process: name, cpus: 1, attempt: 1, accelerator: null, ext: [:]]
        def settings = resolved(scope)
        def value = { setting -> setting instanceof Closure ? scope.run(setting) : setting }
        scope.values.task.cpus = value(settings.cpus) ?: 1
        scope.values.task.accelerator = value(settings.accelerator)
        scope.values.task.ext = (settings.ext ?: [:]).collectEntries { key, setting -> [(key): value(setting)] }
        if (sections.when && !scope.run(sections.when)) return [:]

        def script = scope.run(stage.stub && sections.stub ? sections.stub : sections.script).toString().stripIndent()
        folder.resolve('.command.sh').toFile().text = script
        def shell = value(stage.config.values.process?.values?.shell) ?: ['/bin/bash', '-ue']
        if (stage.execute(shell + ['.command.sh'], folder).status != 0) {
            throw new Failure("${name} failed in ${folder}:\n${script}\n${folder.resolve('.command.err').toFile().text}")
        }
        scope.namesStand = true
        scope.declare(sections.output)
        def results = [:]
        scope.declared.each { entry ->
            def options = entry.options
            def found = entry.parts.collect { part -> produced(part, folder, options.optional) }
            results[options.emit] = found.any { it == null } ? [] : [entry.tuple ? found : found[0]]
        }
        if (settings.publishDir) {
            def to = Paths.get(value(settings.publishDir.path).toString())
            Files.createDirectories(to)
            results.values().flatten().findAll { it instanceof Path }.each { Files.copy(it, to.resolve(it.fileName), StandardCopyOption.REPLACE_EXISTING) }
        }
        results
    }
    private produced(Part part, Path folder, optional) {
        if (part.kind == 'val') return part.value instanceof GString ? part.value.toString() : part.value
        if (part.kind == 'eval') {
            def ran = stage.execute(['/bin/bash', '-c', part.value], folder)
            if (ran.status != 0) throw new Failure("${name}: ${part.value} failed")
            return ran.output.trim()
        }
        def matcher = FileSystems.default.getPathMatcher("glob:${part.value}")
        def files = folder.toFile().listFiles().findAll { !Files.isSymbolicLink(it.toPath()) && matcher.matches(Paths.get(it.name)) }.collect { it.toPath() }
        if (!files && !optional) throw new Failure("${name}: missing output ${part.value} in ${folder}")
        files ? (files.size() == 1 ? files[0] : files) : null
    }
}

class Workflow {
    List takes = []
    Map sections = [:]
    Stage stage
    Map out = [:]
    void section(String kind, Closure body) { sections[kind] = body }
    def call(Object... arguments) {
        if (takes.size() != arguments.size()) throw new Failure("the workflow takes ${takes}")
        def scope = new WorkflowScope(stage: stage, values: [takes, arguments as List].transpose().collectEntries())
        scope.run(sections.main)
        if (sections.emit) {
            def emits = new WorkflowScope(stage: stage, values: scope.values)
            emits.run(sections.emit)
            out = emits.assigned
        }
    }
}

class WorkflowScope {
    Stage stage
    Map values = [:]
    Map assigned = [:]
    def propertyMissing(String name) {
        if (values.containsKey(name)) return values[name]
        if (stage.definitions.containsKey(name)) return stage.definitions[name]
        throw new MissingPropertyException(name, WorkflowScope)
    }
    void propertyMissing(String name, value) { values[name] = value; assigned[name] = value }
    def methodMissing(String name, arguments) {
        def defined = stage.definitions[name]
        if (defined == null) throw new MissingMethodException(name, WorkflowScope, arguments)
        defined.call(*arguments)
    }
    def run(Closure body) {
        body.delegate = this
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
    }
}

/** One run: configuration, definitions, tasks. */
class Stage {
    Path folder, scratch
    Map given = [:]
    List profiles = []
    boolean stub = false
    int tasks = 0
    Map definitions = [:]
    Settings config
    List log = []
    String project

    void said(String line) { log << line }

    Map execute(List command, Path directory) {
        def process = new ProcessBuilder(command*.toString()).directory(directory.toFile()).redirectError(directory.resolve('.command.err').toFile()).start()
        def output = process.inputStream.text
        [status: process.waitFor(), output: output]
    }
    void configure(List files) {
        Integer.metaClass.getGB = { -> delegate * 1024L }
        Integer.metaClass.getH = { -> delegate * 60L }
        config = new Settings(stage: this)
        config.root = config
        config.values.params = new Settings(root: config, stage: this, values: new HashMap(given))
        files.each { readConfig(it) }
    }
    void readConfig(Path file) {
        def text = file.toFile().text.replaceAll(/(withName|withLabel): *('[^']*'|\w+) \{/) { all, kind, pattern ->
            "${kind}(${pattern.startsWith("'") ? pattern : "'" + pattern + "'"}) {"
        }
        config.fill((Closure) new GroovyShell().evaluate("{ -> ${text}\n}"))
    }
    void load(Path file) {
        def binding = new Binding([
            params: config.values.params.plain(), args: [], projectDir: (project ?: folder).toString(), channel: [fromList: { list -> new Items(list) }],
            file: { Object... a -> a[0] instanceof Map && a[0].glob == false && !a[0].checkIfExists ? Paths.get(a.last().toString()) : existing(a.last()) },
            files: { Object... a -> [existing(a.last())] },
            tuple: { Object... a -> a as List },
            error: { message -> throw new Failure(message.toString()) },
        ])
        binding.channel = new Expando(fromList: { list -> new Items(list) })
        binding.setVariable('process', { String name, Closure body ->
            def process = new Process(name: name, moduleDir: file.parent, stage: this)
            body.delegate = process
            body.resolveStrategy = Closure.DELEGATE_FIRST
            body.call()
            definitions[name] = process
        })
        binding.setVariable('workflow', { String name, List takes, Closure body ->
            def workflow = new Workflow(takes: takes, stage: this)
            body.delegate = workflow
            body.resolveStrategy = Closure.DELEGATE_FIRST
            body.call()
            definitions[name] = workflow
        })
        new GroovyShell(binding).evaluate(translated(file), file.fileName.toString().replace('.', '_') + '.groovy')
    }
    static Path existing(name) {
        def path = Paths.get(name.toString())
        if (!Files.exists(path)) throw new Failure("no such file: ${path}")
        path
    }
    /** Sections become closures; includes are loaded at once. */
    private String translated(Path file) {
        def lines = []
        def inside = null
        def takes = []
        file.toFile().readLines().each { line ->
            def found
            if ((found = line =~ /^include \{ (\w+) \} from '(.*)'$/)) {
                load(file.parent.resolve(found[0][2] + '.nf').normalize())
                if (!definitions.containsKey(found[0][1])) throw new Failure("${found[0][2]} does not define ${found[0][1]}")
            } else if ((found = line =~ /^process (\w+) \{$/)) {
                inside = 'process'
                lines << "process('${found[0][1]}', { section('directives') {"
            } else if ((found = line =~ /^workflow( \w+)? \{$/)) {
                inside = found[0][1] ? 'named' : 'main'
                takes = []
                lines << (inside == 'main' ? "workflow('', [], { section('main') {" : "//${found[0][1]}")
                if (inside == 'named') definitions.opening = found[0][1].trim()
            } else if (inside && line == '}') {
                lines << '} })'
                inside = null
            } else if (inside == 'process' && (found = line =~ /^    (input|output|when|script|stub):$/)) {
                lines << "}; section('${found[0][1]}') {"
            } else if (inside in ['named', 'taking'] && line == '    take:') {
                inside = 'taking'
            } else if (inside == 'taking' && line != '    main:') {
                if (line.trim()) takes << line.trim().split(/\s/)[0]
            } else if (inside in ['named', 'taking'] && line == '    main:') {
                inside = 'sections'
                lines << "workflow('${definitions.remove('opening')}', ${takes.inspect()}, { section('main') {"
            } else if (inside == 'sections' && line == '    emit:') {
                lines << "}; section('emit') {"
            } else {
                lines << (inside == 'process' ? line.replaceAll(/\b(emit|topic): (\w+)/, '$1: "$2"') : line)
            }
        }
        lines.join('\n')
    }
}

// ---- nf-test ----

class TestFile {
    Path file, pipeline, scratch
    String script, process, profile
    List configs = []
    List setups = []
    int passed = 0

    def name(String text) { }
    def script(String path) { script = path }
    def process(String name) { process = name }
    def profile(String name) { profile = name }
    def tag(String name) { }
    def config(String path) { configs << file.parent.resolve(path) }
    def setup(Closure body) {
        body.delegate = new Object() {
            def run(String name, Closure inner) {
                def entry = [name: name]
                inner.delegate = new Object() {
                    def script(String path) { entry.script = path }
                    def process(Closure inputs) { entry.inputs = inputs }
                }
                inner.resolveStrategy = Closure.DELEGATE_FIRST
                inner.call()
                setups << entry
            }
        }
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
    }
    def test(String title, Closure body) {
        def scope = new Test(tests: this, title: title)
        body.delegate = scope
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
        scope.go()
        passed += 1
        println "ok: ${pipeline.relativize(file)}: ${title}"
    }
}

class Test {
    TestFile tests
    String title
    boolean stub = false
    Closure inputs, then
    Map given = [:]
    Map process = [:], workflow = [:]
    String outputDir

    def options(String text) { stub = text in ['-stub', '-stub-run'] }
    def when(Closure body) {
        outputDir = Files.createTempDirectory(tests.scratch, 'output').toString()
        def test = this
        body.delegate = new Object() {
            def getOutputDir() { test.outputDir }
            def process(Closure code) { test.inputs = code }
            def params(Closure code) {
                code.delegate = new Object() {
                    def getOutputDir() { test.outputDir }
                    def getProjectDir() { test.tests.pipeline.toString() }
                    void setProperty(String name, value) { test.given[name] = value.toString() }
                }
                code.resolveStrategy = Closure.DELEGATE_FIRST
                code.call()
            }
        }
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
    }
    def then(Closure body) { then = body }

    private List evaluated(Closure code, Stage stage) {
        code.delegate = [projectDir: tests.pipeline.toString()]
        code.resolveStrategy = Closure.DELEGATE_FIRST
        def input = []
        def binding = new Binding([input: input, file: { Object... a -> Stage.existing(a.find { !(it instanceof Map) }) }] + stage.definitions)
        new GroovyShell(binding).evaluate(code.call().toString())
        // A value in a channel of one item, unless it is a value for all.
        input.withIndex().collect { value, index -> index == 0 && !(value instanceof Items) ? new Items([value]) : value }
    }
    void go() {
        def stage = new Stage(folder: tests.pipeline, scratch: Files.createTempDirectory(tests.scratch, 'stage'), stub: stub, given: given,
            profiles: tests.profile ? [tests.profile] : [])
        if (tests.process) {
            stage.configure(tests.configs)
            tests.setups.each { setup ->
                stage.load(tests.file.parent.resolve(setup.script).normalize())
                stage.definitions[setup.name].call(*evaluated(setup.inputs, stage))
            }
            stage.load(tests.file.parent.resolve(tests.script).normalize())
            def defined = stage.definitions[tests.process]
            defined.call(*evaluated(inputs, stage))
            process = [success: true, out: defined.out.collectEntries { key, value -> [(key): value.items] }.withDefault { [] }]
        } else {
            stage.configure([tests.pipeline.resolve('nextflow.config')])
            stage.load(tests.pipeline.resolve('main.nf'))
            try {
                stage.definitions[''].call()
                workflow = [success: true, failed: false, stdout: []]
            } catch (Failure problem) {
                workflow = [success: false, failed: true, stdout: [problem.message.toString()]]
                println "${title}: ${problem.message}"
            }
        }
        then.delegate = this
        then.resolveStrategy = Closure.DELEGATE_FIRST
        then.call()
    }
    def path(file) { new Output(file: Paths.get(file.toString())) }
    void assertAll(Closure... checks) {
        checks.each { check ->
            check.delegate = this
            check.resolveStrategy = Closure.DELEGATE_FIRST
            check.call()
        }
    }
}

class Output {
    Path file
    List readLines() { file.toFile().readLines() }
    List getLinesGzip() { new GZIPInputStream(new FileInputStream(file.toFile())).readLines() }
    File toFile() { file.toFile() }
}

// Nextflow's paths have a name and a text, and can be asked whether they exist.
Paths.get('/').class.metaClass.getText = { -> delegate.toFile().text }
Paths.get('/').class.metaClass.readLines = { -> delegate.toFile().readLines() }
Paths.get('/').class.metaClass.exists = { -> Files.exists(delegate) }
Paths.get('/').class.metaClass.getName = { -> delegate.fileName.toString() }

def pipeline = Paths.get(args[0]).toRealPath()
def scratch = Paths.get(args[1]).toRealPath()
int passed = 0, failed = 0
def files = []
pipeline.toFile().eachFileRecurse { if (it.name.endsWith('.nf.test')) files << it.toPath() }
files.sort().each { file ->
    def tests = new TestFile(file: file, pipeline: pipeline, scratch: scratch)
    def run = { Closure body ->
        body.delegate = tests
        body.resolveStrategy = Closure.DELEGATE_FIRST
        body.call()
    }
    try {
        new GroovyShell(new Binding(nextflow_process: run, nextflow_pipeline: run)).evaluate(file.toFile())
    } catch (Failure | AssertionError problem) {
        println "not ok: ${pipeline.relativize(file)}: ${problem.message}"
        failed += 1
    }
    passed += tests.passed
}
println "${passed} passed, ${failed} failed"
System.exit(failed ? 1 : 0)
