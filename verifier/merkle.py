"""RFC 9162 log mathematics: one import for what `merkle_verify` checks and `merkle_tree` builds."""

from verifier.merkle_tree import (
    Frontier,
    NodeReader,
    NodeRun,
    Tree,
    all_paths,
    consistency_proof,
    inclusion_path,
    inclusion_proof,
    tree_root,
)
from verifier.merkle_verify import MAX_TREE_SIZE, root_from_inclusion, verify_consistency, verify_inclusion

__all__ = [
    "MAX_TREE_SIZE",
    "Frontier",
    "NodeReader",
    "NodeRun",
    "Tree",
    "all_paths",
    "consistency_proof",
    "inclusion_path",
    "inclusion_proof",
    "root_from_inclusion",
    "tree_root",
    "verify_consistency",
    "verify_inclusion",
]
