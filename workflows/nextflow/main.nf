#!/usr/bin/env nextflow
//
// RNAs -> structures, coding windows, miRNA target sites and embeddings -> one summary TSV.
// Each tool's work is shared out over `--shards` tasks; the parts, joined in order, are what one task would have written.
//

include { RNARET_CODING } from './modules/rnaret/coding/main'
include { RNARET_EMBED } from './modules/rnaret/embed/main'
include { RNARET_FOLD } from './modules/rnaret/fold/main'
include { RNARET_MIRTARGET } from './modules/rnaret/mirtarget/main'
include { RNARET_REPORT } from './modules/rnaret/report/main'
include { JOIN } from './modules/local/join/main'
include { SUMMARY } from './modules/local/summary/main'
include { TABLE_OF_RUNS } from './modules/local/table_of_runs/main'
include { VERSIONS } from './modules/local/versions/main'

// The name of an input without what tells only its format and compression.
def sampleName(String filename) {
    return filename.replaceFirst(/\.(gz|bgz|bz2|xz|zst)$/, '').replaceFirst(/\.(fa|fasta|fna|fq|fastq|tsv)$/, '')
}

// What is wrong with the parameters, by nextflow_schema.json: unknown names, values of the wrong kind.
def parameterProblems(Map given, Map schema) {
    def known = schema['$defs'].values().collectEntries { group -> group.properties }
    def problems = []
    given.each { name, value ->
        // Nextflow also sets the other spelling of a name with dashes.
        def rule = known[name.toString().replace('-', '_')] ?: known[name.toString().replaceAll(/([A-Z])/) { _all, letter -> '_' + letter.toLowerCase() }]
        if (rule == null) {
            problems << "there is no parameter --${name}".toString()
        } else if (value == null) {
            return
        } else if (rule.type == 'integer' && !(value.toString() ==~ /-?\d+/)) {
            problems << "--${name} has to be a whole number, not ${value}".toString()
        } else if (rule.type == 'integer' && rule.minimum != null && value.toString().toLong() < rule.minimum) {
            problems << "--${name} has to be at least ${rule.minimum}, not ${value}".toString()
        } else if (rule.type == 'string' && value instanceof Boolean) {
            problems << "--${name} needs a value; where that begins with a dash, write --${name}='--like --this'".toString()
        }
    }
    return problems
}

// The parameters and what they are for.
def helpText(Map schema) {
    def lines = ['nextflow run workflows/nextflow --input RNAS --mirnas MIRNAS [-profile PROFILES] [--NAME VALUE]...', '']
    schema['$defs'].values().each { group ->
        lines << "${group.title}:".toString()
        group.properties.each { name, rule ->
            def preset = rule.default == null || rule.default == '' ? '' : " [${rule.default}]"
            lines << "  --${name.padRight(16)} ${rule.description}${preset}".toString()
        }
        lines << ''
    }
    return lines.join('\n')
}

// The samples of --input: a file, a glob, several of them with commas between, or a sample sheet (CSV with the columns sample and
// file): [ name, file ] each.
def samplesOf(String input) {
    if (input.toLowerCase().endsWith('.csv')) {
        def sheet = file(input, checkIfExists: true)
        def rows = sheet.readLines().collect { line -> line.replace('\uFEFF', '').trim() }.findAll { line -> line }
        def columns = rows ? rows[0].split(',', -1).collect { name -> name.trim().replaceAll(/^"|"$/, '') } : []
        if (!columns.contains('sample') || !columns.contains('file')) {
            error("${input}: the first line of a sample sheet has to name the columns sample and file, not ${columns}.")
        }
        return rows.drop(1).withIndex().collect { row, index ->
            def cells = row.split(',', -1).collect { cell -> cell.trim().replaceAll(/^"|"$/, '') }
            if (cells.size() != columns.size()) {
                error("${input}, row ${index + 2}: ${cells.size()} cells, not ${columns.size()}.")
            }
            def path = cells[columns.indexOf('file')]
            // A path that is not absolute is one beside the sheet.
            def found = path.startsWith('/') || path.contains('://') ? file(path, checkIfExists: true, glob: false) : sheet.parent.resolve(path)
            if (!found.exists()) {
                error("${input}, row ${index + 2}: there is no file ${path}.")
            }
            [cells[columns.indexOf('sample')], found]
        }
    }
    return input.split(',').collectMany { pattern ->
        def exact = file(pattern, glob: false)
        def found = exact.exists() ? [exact] : [files(pattern, checkIfExists: true)].flatten()
        found.collect { path -> [sampleName(path.name), path] }
    }
}

// The name of a sample as files may carry it.
def safeName(String name) {
    return name.replaceAll(/[^A-Za-z0-9._-]/, '_').replaceFirst(/^[.-]/, '_')
}

// What Nextflow itself cannot hand to a task unharmed, in whatever shell the task runs.
def isStageable(String path) {
    return !(path =~ '[\\x00-\\x1f;]|\\$[A-Za-z0-9_{@*#?!$-]')
}

// The parts of one output (kind) of each sample, in the order of the shards: [ meta, [ parts ], name ].
def gather(parts, Integer shards, String kind, String extension) {
    return parts
        .map { meta, part -> tuple(meta.id, meta.index, part) }
        .groupTuple(by: 0, size: shards)
        .map { id, indices, files ->
            def order = (0..<files.size()).toSorted { position -> indices[position] }
            tuple([id: id, kind: kind], order.collect { position -> files[position] }, "${id}.${kind}.${extension}".toString())
        }
}

workflow RNARET {
    take:
    rnas   // channel of [ meta, file ]: FASTA or FASTQ, compressed or not; meta.id is unique
    mirnas // file: FASTA of mature miRNAs, 5'->3'
    shards // number of tasks that each tool's work on a file is shared out to

    main:
    sharded = rnas
        .combine(channel.fromList((1..shards).toList()))
        .map { meta, file, index -> tuple(meta + [index: index, shard: "${index}/${shards}".toString()], file) }

    RNARET_FOLD(sharded, 'tsv', false, [])
    RNARET_CODING(sharded, false)
    RNARET_MIRTARGET(sharded, mirnas, 'tsv')
    RNARET_EMBED(sharded, 'tsv')

    parts = gather(RNARET_FOLD.out.structures, shards, 'structures', 'tsv.gz')
        .mix(gather(RNARET_CODING.out.potential, shards, 'potential', 'tsv.gz'))
        .mix(gather(RNARET_CODING.out.bed, shards, 'cds', 'bed.gz'))
        .mix(gather(RNARET_MIRTARGET.out.sites, shards, 'sites', 'tsv.gz'))
        .mix(gather(RNARET_EMBED.out.embeddings, shards, 'embeddings', 'tsv.gz'))
    JOIN(parts)

    by_sample = JOIN.out.whole
        .map { meta, file -> tuple(meta.id, [kind: meta.kind, file: file]) }
        .groupTuple(by: 0, size: 5)
        .map { id, wholes ->
            def files = wholes.collectEntries { whole -> [(whole.kind): whole.file] }
            tuple([id: id], files.structures, files.potential, files.cds, files.sites, files.embeddings)
        }
    SUMMARY(by_sample, file("${projectDir}/../bin/summarize-rnas.sh", checkIfExists: true).normalize())

    tool_versions = RNARET_FOLD.out.versions_rnaretfold
        .mix(RNARET_CODING.out.versions_rnaretcoding)
        .mix(RNARET_MIRTARGET.out.versions_rnaretmirtarget)
        .mix(RNARET_EMBED.out.versions_rnaretembed)
    tool_stats = RNARET_FOLD.out.stats
        .mix(RNARET_CODING.out.stats)
        .mix(RNARET_MIRTARGET.out.stats)
        .mix(RNARET_EMBED.out.stats)

    emit:
    summary  = SUMMARY.out.table // channel of [ meta, tsv ]
    joined   = JOIN.out.whole    // channel of [ meta, file ]: meta.kind is structures, potential, cds, sites or embeddings
    stats    = tool_stats        // channel of [ meta, tsv ]: what `--stats` says of each task
    versions = tool_versions     // channel of [ process, tool, version ]
}

workflow {
    def schema = new groovy.json.JsonSlurper().parseText(file("${projectDir}/nextflow_schema.json").text)
    if (params.help) {
        println(helpText(schema))
    } else {
        def problems = parameterProblems(params, schema)
        // A shell that expands a glob gives its first file to --input, and the rest as arguments of their own.
        def strays = args.findAll { argument -> argument.toString() != 'true' }
        if (strays) {
            problems << "what is ${strays.join(' ')} for? Quote the glob of --input: --input 'data/*.fa.gz'".toString()
        }
        if (!params.input || !params.mirnas) {
            problems << 'give the RNAs with --input (FASTA or FASTQ; a quoted glob, a list with commas or a sample sheet for several) and the miRNAs with --mirnas (FASTA)'
        }
        if (problems) {
            error("Wrong parameters: ${problems.join('; ')}. --help lists them all.")
        }

        def samples = samplesOf(params.input.toString()).collect { name, path -> [[id: safeName(name), name: name], path.normalize()] }
        samples.each { meta, path ->
            if (!meta.name) {
                error("${path} is a sample without a name.")
            }
            if (!isStageable(path.toString())) {
                error("Nextflow cannot pass on a file of this name; rename it: ${path}")
            }
        }
        samples.groupBy { meta, _path -> meta.id }.each { id, alike ->
            if (alike.size() > 1) {
                error("Two samples would have the same results, ${id}: ${alike.collect { meta, path -> "${meta.name} (${path})" }.join(' and ')}.")
            }
        }

        RNARET(channel.fromList(samples), file(params.mirnas, checkIfExists: true).normalize(), params.shards.toString().toInteger())

        // One table about all tasks, as if they had shared it: provenance, and MultiQC's custom content (docs/multiqc_config.yaml). Tasks
        // write both tables, so that a run that failed has none.
        TABLE_OF_RUNS(RNARET.out.stats.map { _meta, table -> table }.collect(sort: { table -> table.name }))
        RNARET_REPORT(
            RNARET.out.joined
                .map { _meta, file -> file }
                .mix(TABLE_OF_RUNS.out.table)
                .collect(sort: { file -> file.name })
                .map { files -> tuple([id: 'all'], files) }
        )
        VERSIONS(
            RNARET.out.versions
                .map { row -> "${row[0].tokenize(':').last()}\t${row[1]}\t${row[2]}".toString() }
                .unique()
                .collect(sort: true)
        )
    }
}
