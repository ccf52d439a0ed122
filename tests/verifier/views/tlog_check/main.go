// Reads a tlog-proof with the libraries of the Go transparency community. Arguments: the proof's file, the
// log's verifier key, its origin, verifier keys of witnesses. Prints origin, size, index, number of signatures
// that verify, and whether writing the proof again gives the same bytes; or why it is refused.
package main

import (
	"fmt"
	"os"

	"github.com/transparency-dev/formats/log"
	cosignature "github.com/transparency-dev/formats/note"
	tlog "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

func must(err error) {
	if err != nil {
		fmt.Println("refused:", err)
		os.Exit(1)
	}
}

func main() {
	data, err := os.ReadFile(os.Args[1])
	must(err)
	var read tlog.TLogProof
	must(read.Unmarshal(data))
	logKey, err := note.NewVerifier(os.Args[2])
	must(err)
	var witnesses []note.Verifier
	for _, key := range os.Args[4:] {
		witness, err := cosignature.NewVerifierForCosignatureV1(key)
		must(err)
		witnesses = append(witnesses, witness)
	}
	head, _, signed, err := log.ParseCheckpoint(read.Checkpoint, os.Args[3], logKey, witnesses...)
	must(err)
	var path [][]byte
	for i := range read.Hashes {
		path = append(path, read.Hashes[i][:])
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(read.ExtraData)
	must(proof.VerifyInclusion(rfc6962.DefaultHasher, read.Index, head.Size, leaf, path, head.Hash))
	fmt.Println(head.Origin, head.Size, read.Index, len(signed.Sigs), string(read.Marshal()) == string(data))
}
