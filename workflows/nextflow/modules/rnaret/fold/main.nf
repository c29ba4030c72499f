process RNARET_FOLD {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    conda "${task.accelerator ? "${moduleDir}/environment.gpu.yml" : "${moduleDir}/environment.yml"}"
    container "${task.accelerator
        ? 'rnaret:0.1.0-cuda'
        : workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container
            ? 'https://depot.galaxyproject.org/singularity/rnaret:0.1.0--0'
            : 'biocontainers/rnaret:0.1.0--0'}"

    input:
    tuple val(meta), path(rnas, stageAs: 'input/*')
    val format
    val save_pairs
    path known_structures, stageAs: 'known/*' // [] for those inside the program

    output:
    tuple val(meta), path("${prefix}.{dbn,ct,bpseq,tsv}.gz"), emit: structures
    tuple val(meta), path("${prefix}.pairs.tsv.gz"), emit: pairs, optional: true
    tuple val(meta), path("${prefix}.rnaret.stats.tsv"), emit: stats
    tuple val("${task.process}"), val('rnaret-fold'), eval('rnaret-fold --version | sed "s/^rnaret-fold //"'), emit: versions_rnaretfold, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def device = task.accelerator ? 'cuda' : 'cpu'
    prefix = (task.ext.prefix ?: "${meta.id}.structures").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    pairs = save_pairs ? "--pairs ${prefix}.pairs.tsv.gz" : ''
    // Each file has the option before it; the shell lists them, so that their names may hold anything.
    def known = known_structures ? '(known/*)' : '()'
    """
    known=${known}
    rnaret-fold \\
        --format ${format} \\
        --device ${device} \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        ${pairs} \\
        "\${known[@]/#/--known-structures=}" \\
        ${args} \\
        --output ${prefix}.${format}.gz \\
        input/*
    """

    stub:
    prefix = (task.ext.prefix ?: "${meta.id}.structures").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    def header = format == 'tsv' ? "printf 'id\\tlength\\tsequence\\tstructure\\tpairs\\n'" : 'printf ""'
    write_pairs = save_pairs ? "printf 'id\\ti\\tj\\tprobability\\n' | gzip > ${prefix}.pairs.tsv.gz" : ''
    """
    ${header} | gzip > ${prefix}.${format}.gz
    ${write_pairs}
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
