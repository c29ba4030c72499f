process RNARET_TRAIN {
    tag "${meta.id}"
    label 'process_high'
    label 'process_gpu'

    conda "${task.accelerator ? "${moduleDir}/environment.gpu.yml" : "${moduleDir}/environment.yml"}"
    container "${task.accelerator
        ? 'rnaret:0.1.0-cuda'
        : workflow.containerEngine in ['singularity', 'apptainer'] && !task.ext.singularity_pull_docker_container
            ? 'https://depot.galaxyproject.org/singularity/rnaret:0.1.0--0'
            : 'biocontainers/rnaret:0.1.0--0'}"

    input:
    tuple val(meta), path(data, stageAs: 'data/*'), path(validation, stageAs: 'validation/*'), path(model, stageAs: 'start/*')
    val objective

    output:
    tuple val(meta), path("${prefix}.safetensors"), emit: model
    tuple val(meta), path("${prefix}.metrics.tsv"), emit: metrics
    tuple val(meta), path("${prefix}.config.toml"), emit: config
    tuple val(meta), path("${prefix}.rnaret.stats.tsv"), emit: stats
    tuple val("${task.process}"), val('rnaret-train'), eval('rnaret-train --version | sed "s/^rnaret-train //"'), emit: versions_rnarettrain, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = (task.ext.prefix ?: "${meta.id}.${objective}").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    def validate = validation ? '--validation validation/*' : ''
    def start = model ? '--model start/*' : ''
    def device = task.accelerator ? '--device cuda' : ''
    """
    rnaret-train ${objective} \\
        --run ${prefix}.run \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        ${validate} \\
        ${start} \\
        ${device} \\
        ${args} \\
        data/*

    mv ${prefix}.run/model.safetensors ${prefix}.safetensors
    mv ${prefix}.run/metrics.tsv ${prefix}.metrics.tsv
    mv ${prefix}.run/config.toml ${prefix}.config.toml
    """

    stub:
    prefix = (task.ext.prefix ?: "${meta.id}.${objective}").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    """
    touch ${prefix}.safetensors
    printf 'step\\tepoch\\trecords\\ttokens\\tloss\\n' > ${prefix}.metrics.tsv
    touch ${prefix}.config.toml
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
