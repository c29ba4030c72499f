process RNARET_MASK {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container ? 'https://depot.galaxyproject.org/singularity/rnaret:0.1.0--0' : 'biocontainers/rnaret:0.1.0--0'}"

    input:
    tuple val(meta), path(tokens, stageAs: 'input/*')

    output:
    tuple val(meta), path("${prefix}.tsv.gz"), emit: masked
    tuple val(meta), path("${prefix}.rnaret.stats.tsv"), emit: stats
    tuple val("${task.process}"), val('rna-mask'), eval('rna-mask --version | sed "s/^rna-mask //"'), emit: versions_rnamask, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = (task.ext.prefix ?: "${meta.id}.masked").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    """
    rna-mask \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        ${args} \\
        --output ${prefix}.tsv.gz \\
        input/*
    """

    stub:
    prefix = (task.ext.prefix ?: "${meta.id}.masked").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    """
    printf 'id\\tlength\\ttokens\\tlabels\\n' | gzip > ${prefix}.tsv.gz
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
