process RNARET_EMBED {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    conda "${moduleDir}/environment.yml"
    container "${task.accelerator ? 'rnaret:0.1.0-cuda' : 'rnaret:0.1.0'}"

    input:
    tuple val(meta), path(rnas)
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
    prefix = task.ext.prefix ?: "${meta.id}.embeddings"
    if ("${rnas}" == "${prefix}.${extension}") {
        error("Input and output names are the same, use \"task.ext.prefix\" to disambiguate!")
    }
    """
    rnaret-embed \\
        --format ${format} \\
        --device ${device} \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        ${args} \\
        --output ${prefix}.${extension} \\
        ${rnas}
    """

    stub:
    def extension = format == 'tsv' ? 'tsv.gz' : format
    prefix = task.ext.prefix ?: "${meta.id}.embeddings"
    if ("${rnas}" == "${prefix}.${extension}") {
        error("Input and output names are the same, use \"task.ext.prefix\" to disambiguate!")
    }
    def write = format == 'tsv' ? "printf 'id\\tlength\\te0\\n' | gzip >" : 'touch'
    def write_ids = format == 'npy' ? "printf 'id\\tlength\\n' > ${prefix}.npy.ids.tsv" : ''
    """
    ${write} ${prefix}.${extension}
    ${write_ids}
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
