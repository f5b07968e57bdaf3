package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
)

// Job is what is asked for: who asks whom for what, how often, over which connections.
type Job struct {
	URL         string            `json:"url"`
	CA          string            `json:"ca"`          // file, PEM: who signs servers; none for http
	Certificate string            `json:"certificate"` // file, PEM, with its chain; none for an anonymous client
	Key         string            `json:"key"`         // file, PEM
	Method      string            `json:"method"`
	Headers     map[string]string `json:"headers"`
	Body        []byte            `json:"body"`        // base64 in JSON; of every request, unless there are Requests
	Requests    string            `json:"requests"`    // file: one Line of JSON for each operation, warm-up included
	Connections string            `json:"connections"` // "new", "resumed" or "kept"
	Clients     int               `json:"clients"`
	WarmUp      int               `json:"warm_up"` // operations of each client that are not measured
	Operations  int               `json:"operations"`
	Expect      int               `json:"expect"` // status
	// Path that a request's own device gets before anything is measured, so that there is a session to
	// resume, or a connection that is kept. As many connections are open then as there are such requests.
	Prime string `json:"prime"`

	address  string
	config   *tls.Config // nil for http
	greeting []byte
	lines    []prepared
}

// Line is what one request has for itself.
type Line struct {
	Headers     map[string]string `json:"headers"`
	Body        []byte            `json:"body"`
	Certificate string            `json:"certificate"` // PEM, with its chain
	Key         string            `json:"key"`         // PEM
}

// prepared is a request as it goes over the wire, and who sends it.
type prepared struct {
	wire   []byte
	device *device // nil: whichever client has its turn
}

func read(path string) (*Job, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	job := Job{Method: "GET", Connections: "new", Clients: 1, Expect: 200}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&job); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &job, job.prepare()
}

func (job *Job) prepare() error {
	if job.Connections != "new" && job.Connections != "resumed" && job.Connections != "kept" {
		return fmt.Errorf("connections are new, resumed or kept, not %q", job.Connections)
	}
	if job.Clients < 1 || job.Clients > 64 || job.Operations < 1 || job.WarmUp < 0 {
		return errors.New("there are 1 to 64 clients, and at least one operation")
	}
	target, err := url.Parse(job.URL)
	if err != nil {
		return err
	}
	// Asked once: a name server is not what is measured.
	address, err := net.ResolveTCPAddr("tcp", target.Host)
	if err != nil {
		return err
	}
	job.address = address.String()
	if target.Scheme == "https" {
		if err := job.trust(target.Hostname()); err != nil {
			return err
		}
	}
	if err := job.greet(target); err != nil {
		return err
	}
	return job.readLines()
}

func (job *Job) greet(target *url.URL) error {
	request, err := http.NewRequest("GET", target.ResolveReference(&url.URL{Path: job.Prime}).String(), nil)
	if err != nil {
		return err
	}
	var wire bytes.Buffer
	err = request.Write(&wire)
	job.greeting = wire.Bytes()
	return err
}

func (job *Job) trust(host string) error {
	pem, err := os.ReadFile(job.CA)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s has no certificate", job.CA)
	}
	job.config = &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12}
	if job.Certificate == "" {
		return nil
	}
	identity, err := tls.LoadX509KeyPair(job.Certificate, job.Key)
	job.config.Certificates = []tls.Certificate{identity}
	return err
}

func (job *Job) readLines() error {
	if job.Requests == "" {
		line, err := job.line(Line{Body: job.Body})
		job.lines = []prepared{line}
		return err
	}
	file, err := os.Open(job.Requests)
	if err != nil {
		return err
	}
	defer file.Close()
	decoder := json.NewDecoder(bufio.NewReader(file))
	for {
		var line Line
		if err := decoder.Decode(&line); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("%s: %w", job.Requests, err)
		}
		made, err := job.line(line)
		if err != nil {
			return fmt.Errorf("%s: %w", job.Requests, err)
		}
		job.lines = append(job.lines, made)
	}
	if needed := job.Operations + job.WarmUp*job.Clients; len(job.lines) < needed {
		return fmt.Errorf("%s has %d requests, and %d are needed", job.Requests, len(job.lines), needed)
	}
	return nil
}

// line writes a request down before anything is measured.
func (job *Job) line(line Line) (prepared, error) {
	request, err := http.NewRequest(job.Method, job.URL, bytes.NewReader(line.Body))
	if err != nil {
		return prepared{}, err
	}
	for _, headers := range []map[string]string{job.Headers, line.Headers} {
		for name, value := range headers {
			request.Header.Set(name, value)
		}
	}
	var wire bytes.Buffer
	if err := request.Write(&wire); err != nil {
		return prepared{}, err
	}
	made := prepared{wire: wire.Bytes()}
	if line.Certificate != "" {
		identity, err := tls.X509KeyPair([]byte(line.Certificate), []byte(line.Key))
		if err != nil {
			return prepared{}, err
		}
		made.device = newDevice(job, &identity)
	}
	return made, nil
}

// request gives the n-th request of all, warm-up included.
func (job *Job) request(n int) prepared {
	if job.Requests == "" {
		return job.lines[0]
	}
	return job.lines[n]
}
