package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"
)

// An option sets up one part of a client's TLS.
type option func(*tls.Config) error

func newClient(options ...option) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, set := range options {
		if err := set(config); err != nil {
			return nil, err
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &http.Client{Timeout: 30 * time.Second, Transport: transport}, nil
}

// trusting makes the client trust ca.pem, and none of the system's CAs.
func trusting(config *tls.Config) error {
	pem, err := os.ReadFile("ca.pem")
	if err != nil {
		return err
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return errors.New("ca.pem holds no certificate")
	}
	return nil
}

// identified makes the client show device.pem: mutual TLS.
func identified(config *tls.Config) error {
	pair, err := tls.LoadX509KeyPair("device.pem", "device.pem")
	config.Certificates = []tls.Certificate{pair}
	return err
}

// pinned makes the client refuse a server whose key is not among pins, written as curl's --pinnedpubkey takes them.
func pinned(pins []string) option {
	return func(config *tls.Config) error {
		// Asked after the usual verification, and for resumed sessions too.
		config.VerifyConnection = func(state tls.ConnectionState) error {
			digest := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
			shown := "sha256//" + base64.StdEncoding.EncodeToString(digest[:])
			for _, pin := range pins {
				if pin == shown {
					return nil
				}
			}
			return fmt.Errorf("the server's key is not pinned: %s", shown)
		}
		return nil
	}
}
