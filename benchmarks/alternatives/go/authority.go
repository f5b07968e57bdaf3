package main

import (
	"crypto"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	lifetime  = 90 * 24 * time.Hour
	backdated = 5 * time.Minute
	largest   = 64 << 10 // bytes of a CSR
)

// authority signs what its token allows, and forgets it.
type authority struct {
	certificate *x509.Certificate
	key         crypto.PrivateKey
	chain       []byte // PEM
	expected    []byte // the Authorization header
}

func loadAuthority(folder string) (*authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "issuer.pem"), filepath.Join(folder, "issuer.key"))
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(folder, "token"))
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	return &authority{certificate, pair.PrivateKey, toPEM(pair.Certificate[0]), append([]byte("Bearer "), token...)}, err
}

func (a *authority) signCSR(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST a CSR", http.StatusMethodNotAllowed)
		return
	}
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), a.expected) != 1 {
		http.Error(w, "this token is not valid", http.StatusUnauthorized)
		return
	}
	request, err := readCSR(http.MaxBytesReader(w, r.Body, largest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	certificate, err := a.sign(request)
	if err != nil {
		http.Error(w, "it cannot be signed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Write(append(toPEM(certificate), a.chain...))
}

func readCSR(body io.Reader) (*x509.CertificateRequest, error) {
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("this is no PEM CSR")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if request.Subject.CommonName == "" {
		return nil, errors.New("the CSR has no common name")
	}
	return request, request.CheckSignature()
}

// sign makes a DER certificate for a client, with a serial of 128 random bits.
func (a *authority) sign(request *x509.CertificateRequest) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: request.Subject.CommonName},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(lifetime - time.Second),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		OCSPServer:            []string{"http://localhost/ocsp"},
		IssuingCertificateURL: []string{"http://localhost/ca.crt"},
		CRLDistributionPoints: []string{"http://localhost/ca.crl"},
	}
	return x509.CreateCertificate(rand.Reader, &template, a.certificate, request.PublicKey, a.key)
}

func toPEM(certificate []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
}
