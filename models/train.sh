#!/usr/bin/env bash
# Trains the default models again: bash models/train.sh DATA RUNS
#
# DATA holds, as TSV (gzip or not):
#   fold.tsv.gz             id family seq dotbracket: bpRNA-1m(80) TR0 (SPOT-RNA's split), Rivas 2012 TrainSetA/B and TestSetA/B,
#                           Rfam 14.2 seed consensus structures projected on their sequences, bpRNA-1m(90) entries below 100 nt,
#                           PDB/NDB strands and PseudoBase++; without near duplicates of the validation set: 40,492
#   fold_tr0.tsv.gz         those of them that are in TR0, 9,984, which training sees twice
#   fold_validation.tsv.gz  the same columns: every eighth record of bpRNA VL0 up to 300 nt
#   cds_human.tsv.gz        id label species cds_start0 cds_end seq locus: CPAT's human RefSeq mRNAs, GENCODE and Cabili lncRNAs
#   cds_arabidopsis.tsv.gz  the same columns: Arabidopsis mRNAs whose CDS Ribo-seq confirms
#   cds_species.tsv.gz      the same columns without CDS: mouse (Ensembl) and Arabidopsis mRNAs and lncRNAs of PreLncData
#   mirna_clash_hejret_train.tsv.gz, mirna_clash2013_positive.tsv.gz, mirbase22_mature_hsa.fa.gz, utr3_human.fa.gz
#                           what mirtarget_pairs.py reads: CLASH pairs, miRBase, human 3'UTRs
#   ncrna.fa.gz             non-coding RNAs: RNAcentral samples, Rfam, miRBase, GtRNAdb, SILVA and GENCODE
# and RUNS gets a folder per run. A run that was stopped goes on where it was when this is called again.
set -euo pipefail
data=$1 runs=$2
train=${RNARET_TRAIN:-target/release/rnaret-train}

"$train" pretrain "$data/ncrna.fa.gz" --run "$runs/pretrain" \
    --layers 4 --embed-dim 96 --value-dim 96 --ffn-dim 128 --min-length 30 --max-length 512 \
    --learning-rate 2e-3 --min-learning-rate 2e-5 --steps 1500 --cycle-steps 1400 --warmup-steps 100 --batch-tokens 8192 \
    --dropout 0.02 --validation-fraction 0.01 --validation-records 1000 --validate-every 250 --checkpoint-every 100 --log-every 20

"$train" pretrain "$data/ncrna.fa.gz" --run "$runs/pretrain-k5" -k 5 \
    --layers 3 --embed-dim 96 --value-dim 96 --ffn-dim 128 --min-length 30 --max-length 512 \
    --learning-rate 2e-3 --min-learning-rate 2e-5 --steps 700 --cycle-steps 650 --warmup-steps 50 --batch-tokens 8192 \
    --dropout 0.02 --validation-fraction 0.01 --validation-records 1000 --validate-every 350 --checkpoint-every 100 --log-every 20

"$train" fold "$data/fold.tsv.gz" "$data/fold_tr0.tsv.gz" --validation "$data/fold_validation.tsv.gz" --run "$runs/fold" \
    --model "$runs/pretrain/model.safetensors" --head helices --head-width 32 --head-blocks 8 --max-length 400 \
    --learning-rate 2e-3 --min-learning-rate 1e-5 --batch-records 8 --positive-weight 3 --steps 26000 --cycle-steps 25900 \
    --warmup-steps 100 --log-every 100 --validate-every 0 --checkpoint-every 500 --dropout 0.05

# The energies beside the network, on families that the validation of models/fold.md leaves out: DATA/ss_*.tsv.gz are the
# structures by source (fold_families.py names them).
mkdir -p "$runs/families"
python3 "$(dirname "$0")/fold_families.py" "$data" "$runs/families"
"$train" energies "$runs/families/energies.tsv.gz" -o models/fold.energies

# The known structures among which the fold model finds homologs: the records of Rfam's families.
zcat "$data/fold.tsv.gz" | awk -F '\t' 'NR == 1 || (/^(RF[0-9]|bpRNA_RFAM_)/ && $3 !~ /N/ && !seen[$1]++)' |
    "$train" condense -o "$runs/known-structures.dbn" /dev/stdin
zstd --ultra -22 -qf "$runs/known-structures.dbn" -o models/known-structures.dbn.zst

# It learns to read them.
"$train" fold "$data/fold.tsv.gz" "$data/fold_tr0.tsv.gz" --validation "$data/fold_validation.tsv.gz" --run "$runs/fold-second" \
    --model "$runs/fold/model.safetensors" --known-structures "$runs/known-structures.dbn" --max-length 400 \
    --learning-rate 1e-3 --min-learning-rate 1e-5 --batch-records 8 --positive-weight 3 --steps 9000 --cycle-steps 8950 \
    --warmup-steps 50 --log-every 50 --validate-every 0 --checkpoint-every 250 --dropout 0.05

"$train" coding "$data/cds_human.tsv.gz" --run "$runs/coding" -k 3 \
    --layers 2 --embed-dim 48 --value-dim 48 --ffn-dim 64 --head frames --head-width 40 --head-blocks 5 --max-length 2000 \
    --learning-rate 2e-3 --min-learning-rate 2e-5 --batch-records 32 --batch-tokens 65536 --fragments 0.6 --record-weight 0.5 \
    --steps 2400 --epochs 100 --cycle-steps 2300 --warmup-steps 100 --log-every 20 --validate-every 0 \
    --validation-records 600 --checkpoint-every 100 --dropout 0.1 --weight-decay 0.05 --validation-fraction 0.1

# Pairs with balanced negatives, those held out and windows of the background: see mirtarget_pairs.py. The first run ends
# with its best weights, of step 2,000.
python3 "$(dirname "$0")/mirtarget_pairs.py" "$data" "$runs/pairs"
"$train" mirtarget "$runs/pairs/training.tsv.gz" --validation "$runs/pairs/held_out.tsv.gz" --run "$runs/mirtarget" \
    --layers 0 --embed-dim 8 --value-dim 8 --ffn-dim 8 --heads 2 --head diagonals --head-width 32 --head-blocks 2 \
    --learning-rate 4e-3 --min-learning-rate 1e-5 --steps 2500 --cycle-steps 2500 --warmup-steps 50 --epochs 1000 \
    --batch-records 128 --validate-every 500 --log-every 50 --checkpoint-every 200 --dropout 0.2 --weight-decay 0.05 --ema-decay 0.995

"$train" coding "$data/cds_human.tsv.gz" --run "$runs/coding-second" --model "$runs/coding/model.safetensors" --max-length 2000 \
    --learning-rate 1e-3 --min-learning-rate 1e-5 --batch-records 32 --batch-tokens 65536 --fragments 0.75 --record-weight 0.7 \
    --steps 800 --epochs 100 --cycle-steps 770 --warmup-steps 30 --log-every 20 --validate-every 200 \
    --validation-records 600 --checkpoint-every 250 --dropout 0.1 --weight-decay 0.05 --validation-fraction 0.1

# A second cycle, with windows that no miRNA binds; a few letters of every pair are masked, and sites lose up to two bases
# at either end.
"$train" mirtarget "$runs/pairs/training.tsv.gz" "$runs/pairs/background.tsv.gz" --validation "$runs/pairs/held_out.tsv.gz" \
    --run "$runs/mirtarget-second" --model "$runs/mirtarget/best.safetensors" \
    --learning-rate 1e-3 --min-learning-rate 1e-5 --steps 400 --cycle-steps 390 --warmup-steps 10 --epochs 1000 \
    --batch-records 128 --validate-every 100 --log-every 50 --checkpoint-every 100 --dropout 0.3 --mask-rate 0.03 --trim 2 \
    --weight-decay 0.1 --ema-decay 0.98

# A third cycle, nearly all of it on fragments: its last weights. A short fourth with more whole transcripts: its best.
"$train" coding "$data/cds_human.tsv.gz" --run "$runs/coding-third" --model "$runs/coding-second/model.safetensors" --max-length 2000 \
    --learning-rate 1.5e-3 --min-learning-rate 1e-5 --batch-records 64 --batch-tokens 65536 --fragments 0.92 --record-weight 1 \
    --steps 4000 --epochs 1000 --cycle-steps 3950 --warmup-steps 50 --log-every 50 --validate-every 0 \
    --validation-records 1500 --checkpoint-every 250 --dropout 0.1 --weight-decay 0.05 --ema-decay 0.998 --validation-fraction 0.1
"$train" coding "$data/cds_human.tsv.gz" --run "$runs/coding-fourth" --model "$runs/coding-third/model.safetensors" --max-length 2000 \
    --learning-rate 6e-4 --min-learning-rate 1e-5 --batch-records 48 --batch-tokens 65536 --fragments 0.8 --record-weight 1 \
    --steps 400 --epochs 1000 --cycle-steps 390 --warmup-steps 10 --log-every 20 --validate-every 100 \
    --validation-records 1500 --checkpoint-every 100 --dropout 0.1 --weight-decay 0.05 --ema-decay 0.98 --validation-fraction 0.1

# More species, labels without a CDS, and sequences that code for nothing. What the fifth cycle learned and what the fourth knew
# of human fragments are brought together by the mean of both. The sixth reads the tables from their ends, so that it sees
# other transcripts, and sees a third of the Arabidopsis mRNAs.
"$train" import --half "$runs/coding-fourth/model.safetensors" -o "$runs/coding-fourth-half.safetensors"
"$train" coding "$data/cds_human.tsv.gz" "$data/cds_arabidopsis.tsv.gz" "$data/cds_species.tsv.gz" --run "$runs/coding-fifth" \
    --model "$runs/coding-fourth-half.safetensors" --max-length 1400 --learning-rate 1.5e-3 --min-learning-rate 1e-5 \
    --batch-records 36 --batch-tokens 65536 --fragments 0.8 --record-weight 1 --balance true --decoys 0.2 --gaps 0.01 \
    --steps 700 --epochs 1000 --cycle-steps 650 --warmup-steps 50 --log-every 20 --validate-every 0 \
    --validation-records 60 --checkpoint-every 100 --dropout 0.1 --weight-decay 0.05 --ema-decay 0.99 --validation-fraction 0.1
"$train" import "$runs/coding-fourth-half.safetensors" --mean-with "$runs/coding-fifth/model.safetensors" \
    -o "$runs/coding-mean.safetensors"
for table in human species; do
    zcat "$data/cds_$table.tsv.gz" | { IFS= read -r header; echo "$header"; tac; } | gzip > "$runs/cds_$table.backwards.tsv.gz"
done
zcat "$data/cds_arabidopsis.tsv.gz" | awk 'NR == 1 || NR % 3 == 0' | gzip > "$runs/cds_arabidopsis.third.tsv.gz"
"$train" coding "$runs/cds_human.backwards.tsv.gz" "$runs/cds_arabidopsis.third.tsv.gz" "$runs/cds_species.backwards.tsv.gz" --run "$runs/coding-sixth" \
    --model "$runs/coding-mean.safetensors" --max-length 1400 --learning-rate 6e-4 --min-learning-rate 1e-5 \
    --batch-records 40 --batch-tokens 65536 --fragments 0.85 --record-weight 1 --decoys 0.15 --gaps 0.005 \
    --steps 460 --epochs 1000 --cycle-steps 430 --warmup-steps 30 --log-every 20 --validate-every 0 \
    --validation-records 60 --checkpoint-every 50 --dropout 0.1 --weight-decay 0.05 --ema-decay 0.985 --validation-fraction 0.1
"$train" calibrate "$data/cds_human.tsv.gz" "$data/cds_arabidopsis.tsv.gz" "$data/cds_species.tsv.gz" --validation-fraction 0.1 \
    --half --model "$runs/coding-sixth/model.safetensors" -o models/coding.safetensors

# The encoders that are shipped had longer: two more cycles for k = 1, one for k = 5. The other models start from the first.
"$train" pretrain "$data/ncrna.fa.gz" --run "$runs/pretrain-second" --model "$runs/pretrain/model.safetensors" \
    --min-length 30 --max-length 512 --learning-rate 2e-3 --min-learning-rate 2e-5 --steps 6000 --cycle-steps 5900 --warmup-steps 100 \
    --batch-tokens 8192 --dropout 0.02 --validation-fraction 0.01 --validation-records 1000 --validate-every 500 --checkpoint-every 100 \
    --log-every 50
"$train" pretrain "$data/ncrna.fa.gz" --run "$runs/pretrain-third" --model "$runs/pretrain-second/model.safetensors" \
    --min-length 30 --max-length 512 --learning-rate 2e-3 --min-learning-rate 2e-5 --steps 5000 --cycle-steps 4900 --warmup-steps 100 \
    --batch-tokens 8192 --dropout 0.02 --validation-fraction 0.01 --validation-records 1000 --validate-every 500 --checkpoint-every 100 \
    --log-every 50
"$train" pretrain "$data/ncrna.fa.gz" --run "$runs/pretrain-k5-second" --model "$runs/pretrain-k5/model.safetensors" \
    --min-length 30 --max-length 512 --learning-rate 2e-3 --min-learning-rate 2e-5 --steps 5000 --cycle-steps 4900 --warmup-steps 100 \
    --batch-tokens 8192 --dropout 0.02 --validation-fraction 0.01 --validation-records 1000 --validate-every 500 --checkpoint-every 100 \
    --log-every 50

for pair in pretrain-third:pretrain pretrain-k5-second:pretrain-k5 fold-second:fold; do
    "$train" import --half "$runs/${pair%:*}/model.safetensors" -o "models/${pair#*:}.safetensors"
done

# Windows of background, on which every miRNA is scored before anything else.
"$train" calibrate "$runs/pairs/training.tsv.gz" --background "$data/utr3_human.fa.gz" --half \
    --model "$runs/mirtarget-second/model.safetensors" -o models/mirtarget.safetensors
