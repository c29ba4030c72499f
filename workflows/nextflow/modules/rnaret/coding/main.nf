process RNARET_CODING {
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
    tuple val(meta), path(transcripts, stageAs: 'input/*')
    val save_track

    output:
    tuple val(meta), path("${prefix}.bed.gz"), emit: bed
    tuple val(meta), path("${prefix}.potential.tsv.gz"), emit: potential
    tuple val(meta), path("${prefix}.bedgraph.gz"), emit: track, optional: true
    tuple val(meta), path("${prefix}.rnaret.stats.tsv"), emit: stats
    tuple val("${task.process}"), val('rnaret-coding'), eval('rnaret-coding --version | sed "s/^rnaret-coding //"'), emit: versions_rnaretcoding, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def device = task.accelerator ? 'cuda' : 'cpu'
    prefix = (task.ext.prefix ?: "${meta.id}.coding").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    track = save_track ? "--track ${prefix}.bedgraph.gz" : ''
    """
    rnaret-coding \\
        --device ${device} \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        --summary ${prefix}.potential.tsv.gz \\
        ${track} \\
        ${args} \\
        --output ${prefix}.bed.gz \\
        input/*
    """

    stub:
    prefix = (task.ext.prefix ?: "${meta.id}.coding").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    write_track = save_track ? "printf '' | gzip > ${prefix}.bedgraph.gz" : ''
    """
    printf '' | gzip > ${prefix}.bed.gz
    printf 'id\\tlength\\tcoding_potential\\tlabel\\tstate\\tstrand\\torf_start\\torf_end\\torf_length\\torf_coverage\\n' | gzip > ${prefix}.potential.tsv.gz
    ${write_track}
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
