#!/usr/bin/env bash
# Trains the default models again: bash models/train.sh DATA RUNS
#
# DATA holds, as TSV (gzip or not):
#   fold.tsv.gz             id family seq dotbracket: bpRNA-1m(80) TR0 (SPOT-RNA's split), Rivas 2012 TrainSetA/B and TestSetA/B,
#                           5,500 Rfam 14.2 seed consensus structures projected on their sequences, 1,200 bpRNA-1m(90) entries
#                           below 100 nt, PDB/NDB strands and PseudoBase++; without near duplicates of the validation set
#   fold_second.tsv.gz      6,400 of them, 4,600 from TR0 and Rivas, 1,400 from Rfam, 400 short ones
#   fold_validation.tsv.gz  the same columns: every eighth record of bpRNA VL0 up to 300 nt
#   cds_human.tsv.gz        id seq cds_start0 cds_end locus: CPAT's human RefSeq mRNAs, GENCODE and Cabili lncRNAs
#   mirna_pairs.tsv.gz      mirna_name mirna_seq target_id target_seq label: MirTarRAW (miTAR), both sequences 5'->3'
#   ncrna.fa.gz             non-coding RNAs: RNAcentral samples, Rfam, miRBase, GtRNAdb, SILVA and GENCODE
# and RUNS gets a folder per run. A run that was stopped goes on where it was when this is called again.
set -euo pipefail
data=$1 runs=$2
train=${RNARET_TRAIN:-target/release/rnaret-train}

"$train" pretrain "$data/ncrna.fa.gz" --run "$runs/pretrain" \
    --layers 4 --embed-dim 96 --value-dim 96 --ffn-dim 128 --min-length 30 --max-length 512 \
    --learning-rate 2e-3 --min-learning-rate 2e-5 --steps 1500 --cycle-steps 1400 --warmup-steps 100 --batch-tokens 8192 \
    --dropout 0.02 --validation-fraction 0.01 --validation-records 1000 --validate-every 250 --checkpoint-every 100 --log-every 20

"$train" fold "$data/fold.tsv.gz" --validation "$data/fold_validation.tsv.gz" --run "$runs/fold" \
    --layers 3 --embed-dim 64 --value-dim 64 --ffn-dim 96 --head triangle --head-width 32 --head-blocks 8 --max-length 300 \
    --learning-rate 1.5e-3 --min-learning-rate 2e-5 --batch-records 8 --positive-weight 3 --steps 2500 --cycle-steps 2400 \
    --warmup-steps 100 --log-every 20 --validate-every 250 --checkpoint-every 100 --dropout 0.05

# A second cycle, at a lower rate, on 6,400 of the records (fold_second.tsv.gz).
"$train" fold "$data/fold_second.tsv.gz" --validation "$data/fold_validation.tsv.gz" --model "$runs/fold/model.safetensors" \
    --run "$runs/fold-second" --max-length 300 --learning-rate 7e-4 --min-learning-rate 1e-5 --batch-records 8 --positive-weight 3 \
    --steps 800 --cycle-steps 780 --warmup-steps 20 --log-every 20 --validate-every 200 --checkpoint-every 100 --dropout 0.05 --seed 3

"$train" coding "$data/cds_human.tsv.gz" --run "$runs/coding" \
    --layers 2 --embed-dim 32 --value-dim 32 --ffn-dim 48 --head frames --head-width 32 --head-blocks 4 --max-length 2000 \
    --learning-rate 3e-3 --min-learning-rate 3e-5 --batch-records 16 --batch-tokens 65536 --fragments 0.5 --record-weight 0.3 \
    --steps 1700 --epochs 10 --cycle-steps 1600 --warmup-steps 50 --log-every 20 --validate-every 200 \
    --validation-records 600 --checkpoint-every 100 --dropout 0.05 --validation-fraction 0.1

"$train" mirtarget "$data/mirna_pairs.tsv.gz" --run "$runs/mirtarget" \
    --layers 4 --embed-dim 96 --value-dim 96 --ffn-dim 128 --learning-rate 1e-3 --min-learning-rate 1e-5 --steps 3300 \
    --cycle-steps 3200 --warmup-steps 100 --epochs 100 --validate-every 300 --log-every 50 --checkpoint-every 100 \
    --dropout 0.15 --validation-fraction 0.1 --weight-decay 0.05

for pair in pretrain:pretrain fold-second:fold coding:coding mirtarget:mirtarget; do
    "$train" import --half "$runs/${pair%:*}/model.safetensors" -o "models/${pair#*:}.safetensors"
done
