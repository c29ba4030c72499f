"""Joins tables that have the same header row, which stays once.

A script, not a shell command: the names of thousands of tables do not fit on a command line.
"""

with open(snakemake.output[0], "w") as joined:
    for place, table in enumerate(snakemake.input):
        with open(table) as rows:
            joined.writelines(
                row for number, row in enumerate(rows) if number > 0 or place == 0
            )
