// Plain is the Go server that tutorials end with: three TLS listeners, and nothing that is stored.
//
//	plain FOLDER HELLO SECURE PROVISIONING
//
// FOLDER has server.pem and issuer.pem with their keys, root.pem and token; the others are addresses to listen at.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 5 {
		log.Fatal("usage: plain FOLDER HELLO SECURE PROVISIONING")
	}
	folder := os.Args[1]
	server, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.pem"), filepath.Join(folder, "server.key"))
	if err != nil {
		log.Fatal(err)
	}
	roots, err := pool(filepath.Join(folder, "root.pem"))
	if err != nil {
		log.Fatal(err)
	}
	ca, err := loadAuthority(folder)
	if err != nil {
		log.Fatal(err)
	}
	open := policy(server)
	mutual := policy(server)
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, roots

	ended := make(chan error)
	go func() { ended <- listen(os.Args[2], "/hello", hello, open) }()
	go func() { ended <- listen(os.Args[3], "/secure", secure, mutual) }()
	go func() { ended <- listen(os.Args[4], "/sign-csr", ca.signCSR, open) }()
	log.Fatal(<-ended)
}

// policy is that of Hatchery's listeners: TLS 1.2 and 1.3, forward secret AEAD suites alone.
func policy(server tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates:     []tls.Certificate{server},
		MinVersion:       tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.X25519, tls.CurveP256},
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
}

func listen(address, path string, handler http.HandlerFunc, config *tls.Config) error {
	routes := http.NewServeMux()
	routes.HandleFunc(path, handler)
	server := http.Server{
		Addr:              address,
		Handler:           routes,
		TLSConfig:         config,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       10 * time.Second,
		IdleTimeout:       30 * time.Second,
	}
	return server.ListenAndServeTLS("", "")
}

func pool(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(path + " has no certificate")
	}
	return roots, nil
}
