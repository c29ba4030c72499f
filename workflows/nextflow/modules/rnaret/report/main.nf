process RNARET_REPORT {
    tag "${meta.id}"
    label 'process_single'

    conda "${moduleDir}/environment.yml"
    container "${workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container ? 'https://depot.galaxyproject.org/singularity/rnaret:0.1.0--0' : 'biocontainers/rnaret:0.1.0--0'}"

    input:
    tuple val(meta), path(results, stageAs: 'input/*')

    output:
    tuple val(meta), path("${prefix}.html"), emit: page
    tuple val("${task.process}"), val('rnaret-report'), eval('rnaret-report --version | sed "s/^rnaret-report //"'), emit: versions_rnaretreport, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = (task.ext.prefix ?: "${meta.id}.report").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    """
    rnaret-report \\
        ${args} \\
        --output ${prefix}.html \\
        input/*
    """

    stub:
    prefix = (task.ext.prefix ?: "${meta.id}.report").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    """
    printf '<!doctype html>\\n' > ${prefix}.html
    """
}
