// A device in Go, with nothing but the standard library.
//
//	device hello https://localhost:8443/hello
//	device enroll https://localhost:8445/sign-csr go-device
//	device secure https://localhost:8444/secure ['sha256//…;sha256//…']
//	device renew https://localhost:8444/renew
//
// In the current folder it reads ca.pem and token, and writes device.pem: the key, the certificate, then its chain.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
)

var errUsage = errors.New("usage: device hello URL | enroll URL NAME | secure URL [PINS] | renew URL")

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(words []string) error {
	if len(words) < 2 || len(words) > 3 {
		return errUsage
	}
	what, url, more := words[0], words[1], words[2:]
	switch {
	case what == "hello" && len(more) == 0:
		return get(url, trusting)
	case what == "secure" && len(more) == 0:
		return get(url, trusting, identified)
	case what == "secure":
		return get(url, trusting, identified, pinned(strings.Split(more[0], ";")))
	case what == "enroll" && len(more) == 1:
		return enroll(url, more[0])
	case what == "renew" && len(more) == 0:
		return renew(url)
	}
	return errUsage
}

func get(url string, options ...option) error {
	client, err := newClient(options...)
	if err != nil {
		return err
	}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	body, err := read(answer)
	if err != nil {
		return err
	}
	fmt.Println(string(body))
	return nil
}

// read returns the body of a good answer; of any other it makes an error.
func read(answer *http.Response) ([]byte, error) {
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return body, err
}
