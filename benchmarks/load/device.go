package main

import (
	"bufio"
	"crypto/tls"
	"net"
	"time"
)

const patience = 60 * time.Second // of one operation

// device is one end of connections: its certificate, the session it may resume, the connection it keeps.
type device struct {
	address string
	config  *tls.Config // nil for http
	open    net.Conn
	reader  *bufio.Reader
}

func newDevice(job *Job, identity *tls.Certificate) *device {
	made := &device{address: job.address, config: job.config}
	if job.config == nil {
		return made
	}
	made.config = job.config.Clone()
	if identity != nil {
		made.config.Certificates = []tls.Certificate{*identity}
	}
	if job.Connections == "resumed" {
		made.config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	return made
}

// connect makes a new connection, and tells whether a session was resumed.
func (d *device) connect() (bool, error) {
	dialer := net.Dialer{Timeout: patience}
	raw, err := dialer.Dial("tcp", d.address)
	if err != nil {
		return false, err
	}
	if err := raw.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	d.open, d.reader = raw, bufio.NewReader(raw)
	if d.config == nil {
		return false, nil
	}
	wrapped := tls.Client(raw, d.config)
	d.open, d.reader = wrapped, bufio.NewReader(wrapped)
	if err := wrapped.Handshake(); err != nil {
		return false, err
	}
	return wrapped.ConnectionState().DidResume, nil
}

func (d *device) close() {
	if d.open != nil {
		d.open.Close()
		d.open = nil
	}
}
