// The parts that `--shard 1/N` to `--shard N/N` wrote, in that order, are the whole when joined: only the first has a header,
// and bgzip files may be joined as they are.
process JOIN {
    tag "${meta.id}"
    label 'process_single'

    input:
    tuple val(meta), path(parts), val(name)

    output:
    tuple val(meta), path("${name}"), emit: whole

    script:
    """
    cat ${parts} > ${name}
    """

    stub:
    """
    cat ${parts} > ${name}
    """
}
