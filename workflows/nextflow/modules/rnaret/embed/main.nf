process RNARET_EMBED {
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

    output:
    tuple val(meta), path("${prefix}.{tsv.gz,npy,safetensors,parquet}"), emit: embeddings
    tuple val(meta), path("${prefix}.npy.ids.tsv"), emit: ids, optional: true
    tuple val(meta), path("${prefix}.rnaret.stats.tsv"), emit: stats
    tuple val("${task.process}"), val('rnaret-embed'), eval('rnaret-embed --version | sed "s/^rnaret-embed //"'), emit: versions_rnaretembed, topic: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def device = task.accelerator ? 'cuda' : 'cpu'
    def extension = format == 'tsv' ? 'tsv.gz' : format
    prefix = (task.ext.prefix ?: "${meta.id}.embeddings").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    """
    rnaret-embed \\
        --format ${format} \\
        --device ${device} \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        ${args} \\
        --output ${prefix}.${extension} \\
        input/*
    """

    stub:
    def extension = format == 'tsv' ? 'tsv.gz' : format
    prefix = (task.ext.prefix ?: "${meta.id}.embeddings").toString().replaceAll(/[^A-Za-z0-9._-]/, '_')
    def write = format == 'tsv' ? "printf 'id\\tlength\\te0\\n' | gzip >" : 'touch'
    write_ids = format == 'npy' ? "printf 'id\\tlength\\n' > ${prefix}.npy.ids.tsv" : ''
    """
    ${write} ${prefix}.${extension}
    ${write_ids}
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
