// The tables that `--stats` wrote, one a task, as one table with one header.
process TABLE_OF_RUNS {
    label 'process_single'

    input:
    path tables, stageAs: 'tables/*'

    output:
    path 'rnaret.stats.tsv', emit: table

    script:
    """
    awk 'FNR > 1 || NR == 1' tables/* > rnaret.stats.tsv
    """

    stub:
    """
    awk 'FNR > 1 || NR == 1' tables/* > rnaret.stats.tsv
    """
}
