// Checks the proofs on standard input, one line of three texts between tabs each, by the sample in the README.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"proofsample/proof"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		sent := strings.Split(lines.Text(), "\t")
		claims, err := proof.Verify(sent[0], sent[1], sent[2])
		if err != nil {
			fmt.Println("refused", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok", claims.ID)
		}
	}
}
