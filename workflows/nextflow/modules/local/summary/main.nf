process SUMMARY {
    tag "${meta.id}"
    label 'process_single'

    input:
    tuple val(meta), path(structures), path(potential), path(cds), path(sites), path(embeddings)
    path summarize

    output:
    tuple val(meta), path("${meta.id}.summary.tsv"), emit: table

    script:
    """
    bash ${summarize} ${structures} ${potential} ${cds} ${sites} ${embeddings} > ${meta.id}.summary.tsv
    """

    stub:
    """
    printf 'id\\tlength\\n' > ${meta.id}.summary.tsv
    """
}
