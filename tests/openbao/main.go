// The OpenBao program, from its Go module: a real Transit engine for the tests of `keys.store: vault`.
package main

import (
	"os"

	"github.com/openbao/openbao/command"
)

func main() {
	os.Exit(command.Run(os.Args[1:]))
}
