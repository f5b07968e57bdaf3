package main

import (
	"encoding/json"
	"net/http"
)

func hello(w http.ResponseWriter, r *http.Request) {
	answer(w, map[string]string{
		"message": "Hello from TLS server",
		"auth":    "server-only (one-way TLS)",
	})
}

func secure(w http.ResponseWriter, r *http.Request) {
	name := r.TLS.PeerCertificates[0].Subject.CommonName
	answer(w, map[string]string{
		"message": "Hello " + name + ", mutual trust established",
		"auth":    "mutual TLS (both sides verified)",
		"client":  name,
	})
}

func answer(w http.ResponseWriter, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(body)
}
