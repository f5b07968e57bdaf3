package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
)

// enroll gets the first certificate, by the token.
func enroll(url, name string) error {
	token, err := os.ReadFile("token")
	if err != nil {
		return err
	}
	client, err := newClient(trusting)
	if err != nil {
		return err
	}
	proof := http.Header{"Authorization": {"Bearer " + strings.TrimSpace(string(token))}}
	return certify(client, url, pkix.Name{CommonName: name}, proof)
}

// renew gets the next certificate, by the one that there is. Hatchery knows the name.
func renew(url string) error {
	client, err := newClient(trusting, identified)
	if err != nil {
		return err
	}
	return certify(client, url, pkix.Name{}, http.Header{})
}

// certify has a new key certified, and puts the two into device.pem.
func certify(client *http.Client, url string, subject pkix.Name, proof http.Header) error {
	key, err := nextKey()
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, key)
	if err != nil {
		return err
	}
	chain, err := post(client, url, csr, proof)
	if err != nil {
		return err
	}
	private, err := encoded(key)
	if err != nil {
		return err
	}
	// An error unless key and certificate belong together.
	if _, err := tls.X509KeyPair(chain, private); err != nil {
		return err
	}
	if err := write("next.pem", append(private, chain...)); err != nil {
		return err
	}
	return os.Rename("next.pem", "device.pem")
}

// post sends a CSR (DER) as PEM, and returns the certificate with its chain, PEM.
func post(client *http.Client, url string, csr []byte, proof http.Header) ([]byte, error) {
	body := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})
	request, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header = proof
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	return read(answer)
}

// nextKey is the key that waits in next.pem for its certificate: if an answer is lost, the same key gets it again.
func nextKey() (*ecdsa.PrivateKey, error) {
	waiting, err := os.ReadFile("next.pem")
	if errors.Is(err, fs.ErrNotExist) {
		return newKey()
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(waiting)
	if block == nil {
		return nil, errors.New("next.pem holds no key")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("next.pem: %w", err)
	}
	return key, nil
}

func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := encoded(key)
	if err != nil {
		return nil, err
	}
	return key, write("next.pem", private)
}

func encoded(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// write puts content in the place of a file in one step, for its owner alone.
func write(path string, content []byte) error {
	file, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
