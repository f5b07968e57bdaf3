// Step-ca serves Smallstep's CA as the configuration file says that it is given: its library without its shell.
//
// Debian has the library alone (golang-github-smallstep-certificates-dev), not the program of this name.
package main

import (
	"log"
	"os"

	"github.com/smallstep/certificates/authority/config"
	"github.com/smallstep/certificates/ca"
)

func main() {
	configuration, err := config.LoadConfiguration(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server, err := ca.New(configuration)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Run())
}
