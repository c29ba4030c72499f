// Which version of which tool each process ran: rows of process, tool and version.
process VERSIONS {
    label 'process_single'

    input:
    val rows

    output:
    path 'versions.tsv', emit: table

    script:
    """
    cat > versions.tsv <<'END'
process\ttool\tversion
${rows.join('\n')}
END
    """

    stub:
    """
    printf 'process\\ttool\\tversion\\n' > versions.tsv
    """
}
