process RNARET_MIRTARGET {
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
    tuple val(meta), path(targets, stageAs: 'input/*')
    path mirnas, stageAs: 'mirnas/*' // [] where the targets are a table of pairs
    val format

    output:
    tuple val(meta), path("${prefix}.{tsv,bed}.gz"), emit: sites
    tuple val(meta), path("${prefix}.rnaret.stats.tsv"), emit: stats
    tuple val("${task.process}"), val('rnaret-mirtarget'), eval('rnaret-mirtarget --version | sed "s/^rnaret-mirtarget //"'), emit: versions_rnaretmirtarget, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def device = task.accelerator ? 'cuda' : 'cpu'
    prefix = (task.ext.prefix ?: "${meta.id}.sites").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    // Without miRNAs, the targets are a table of pairs to score as they stand.
    def query = mirnas ? '--mirna mirnas/* input/*' : '--pairs input/*'
    """
    rnaret-mirtarget \\
        --format ${format} \\
        --device ${device} \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        ${args} \\
        --output ${prefix}.${format}.gz \\
        ${query}
    """

    stub:
    prefix = (task.ext.prefix ?: "${meta.id}.sites").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    def header = format == 'tsv' ? "printf 'mirna\\ttarget\\tstart\\tend\\tseed_type\\tprobability\\n'" : 'printf ""'
    """
    ${header} | gzip > ${prefix}.${format}.gz
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
