process RNARET_KMERIZE {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container ? 'https://depot.galaxyproject.org/singularity/rnaret:0.1.0--0' : 'biocontainers/rnaret:0.1.0--0'}"

    input:
    tuple val(meta), path(rnas, stageAs: 'input/*')
    val k

    output:
    tuple val(meta), path("${prefix}.tsv.gz"), emit: tokens
    tuple val(meta), path("${prefix}.rnaret.stats.tsv"), emit: stats
    tuple val("${task.process}"), val('rna-kmerize'), eval('rna-kmerize --version | sed "s/^rna-kmerize //"'), emit: versions_rnakmerize, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = (task.ext.prefix ?: "${meta.id}.tokens").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    """
    rna-kmerize \\
        -k ${k} \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        ${args} \\
        --output ${prefix}.tsv.gz \\
        input/*
    """

    stub:
    prefix = (task.ext.prefix ?: "${meta.id}.tokens").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    """
    printf 'id\\tlength\\ttokens\\n' | gzip > ${prefix}.tsv.gz
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
