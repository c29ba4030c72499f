process RNARET_FOLD {
    tag "${meta.id}"
    label 'process_medium'
    label 'process_gpu'

    conda "${moduleDir}/environment.yml"
    container "${task.accelerator ? 'rnaret:0.1.0-cuda' : 'rnaret:0.1.0'}"

    input:
    tuple val(meta), path(rnas)
    val format
    val save_pairs
    path known_structures // [] for those inside the program

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
    prefix = task.ext.prefix ?: "${meta.id}.structures"
    def pairs = save_pairs ? "--pairs ${prefix}.pairs.tsv.gz" : ''
    def known = known_structures ? "--known-structures ${known_structures}" : ''
    if ("${rnas}" == "${prefix}.${format}.gz") {
        error("Input and output names are the same, use \"task.ext.prefix\" to disambiguate!")
    }
    """
    rnaret-fold \\
        --format ${format} \\
        --device ${device} \\
        --threads ${task.cpus} \\
        --stats ${prefix}.rnaret.stats.tsv \\
        ${pairs} \\
        ${known} \\
        ${args} \\
        --output ${prefix}.${format}.gz \\
        ${rnas}
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}.structures"
    if ("${rnas}" == "${prefix}.${format}.gz") {
        error("Input and output names are the same, use \"task.ext.prefix\" to disambiguate!")
    }
    def header = format == 'tsv' ? "printf 'id\\tlength\\tsequence\\tstructure\\tpairs\\n'" : 'printf ""'
    def write_pairs = save_pairs ? "printf 'id\\ti\\tj\\tprobability\\n' | gzip > ${prefix}.pairs.tsv.gz" : ''
    """
    ${header} | gzip > ${prefix}.${format}.gz
    ${write_pairs}
    printf 'run\\ttool\\n' > ${prefix}.rnaret.stats.tsv
    """
}
