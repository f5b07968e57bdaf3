package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client does one thing after the other, as one device or as those of its requests.
type client struct {
	job         *Job
	own         *device
	connections int
	resumed     int
	took        []time.Duration
	failures    map[string]int
}

func newClient(job *Job) *client {
	return &client{job: job, own: newDevice(job, nil), failures: map[string]int{}}
}

// forget makes what came before not count: it was warm-up. What failed stays known.
func (c *client) forget() {
	c.connections, c.resumed, c.took = 0, 0, nil
}

// prime has a request's own device known to the server before it is sent: its session, or its connection.
func (c *client) prime(number int) {
	if request := c.job.request(number); request.device != nil && c.job.Connections != "new" {
		c.note(c.ask(request.device, c.job.greeting))
	}
}

func (c *client) do(number int) {
	request, began := c.job.request(number), time.Now()
	asked := c.own
	if request.device != nil {
		asked = request.device
	}
	if c.note(c.ask(asked, request.wire)) {
		c.took = append(c.took, time.Since(began))
	}
}

func (c *client) note(err error) bool {
	if err != nil {
		c.failures[err.Error()]++
	}
	return err == nil
}

func (c *client) ask(asked *device, wire []byte) error {
	status, err := c.exchange(asked, wire)
	if err != nil || c.job.Connections != "kept" {
		asked.close()
	}
	if err == nil && status.code != c.job.Expect {
		return fmt.Errorf("%d: %s", status.code, status.text)
	}
	return err
}

type answer struct {
	code int
	text string // of one that was not expected, its beginning
}

func (c *client) exchange(asked *device, wire []byte) (answer, error) {
	if asked.open == nil {
		resumed, err := asked.connect()
		if err != nil {
			return answer{}, err
		}
		c.connections++
		if resumed {
			c.resumed++
		}
	}
	if err := asked.open.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	if _, err := asked.open.Write(wire); err != nil {
		return answer{}, err
	}
	response, err := http.ReadResponse(asked.reader, &http.Request{Method: c.job.Method})
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	told := answer{code: response.StatusCode}
	if told.code != c.job.Expect {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300))
		told.text = strings.TrimSpace(string(text))
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return answer{}, err
	}
	if response.Close {
		asked.close()
	}
	return told, nil
}
