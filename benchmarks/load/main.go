// Load sends one server many requests, and says how long they took.
//
// `load JOB` reads a Job (JSON), prepares everything, warms the server up, prints "ready" and waits for a
// line (or the end) of its input, so that who started it can note the server's accounts. Then it does the
// operations, each client one after the other, and prints a Result (JSON). It ends with 1 if any failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Result is what was seen. Times are from before a connection is made, if one is, to the answer's last byte.
type Result struct {
	Operations  int            `json:"operations"` // that did not fail
	Seconds     float64        `json:"seconds"`
	Throughput  float64        `json:"throughput"` // operations a second
	P50         float64        `json:"p50_ms"`
	P99         float64        `json:"p99_ms"`
	Failures    int            `json:"failures"` // warm-up included
	Failed      map[string]int `json:"failed"`   // by what was answered
	Connections int            `json:"connections"`
	Resumed     int            `json:"resumed"`         // of the connections
	OwnCPU      float64        `json:"own_cpu_seconds"` // of this program
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: load JOB")
		os.Exit(2)
	}
	job, err := read(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(2)
	}
	clients := make([]*client, job.Clients)
	for n := range clients {
		clients[n] = newClient(job)
	}
	warmUp := job.WarmUp * len(clients)
	inTurn(clients, 0, warmUp+job.Operations, (*client).prime)
	together(clients, func(n int, one *client) {
		for number := n * job.WarmUp; number < (n+1)*job.WarmUp; number++ {
			one.do(number)
		}
		one.forget()
	})
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	before, began := cpu(), time.Now()
	inTurn(clients, warmUp, job.Operations, (*client).do)
	result := summary(clients, time.Since(began).Seconds())
	result.OwnCPU = cpu() - before
	json.NewEncoder(os.Stdout).Encode(result)
	for _, one := range clients {
		one.own.close()
	}
	if result.Failures > 0 {
		os.Exit(1)
	}
}

// together lets all clients work at the same time.
func together(clients []*client, work func(int, *client)) {
	var working sync.WaitGroup
	for n, one := range clients {
		working.Add(1)
		go func(n int, one *client) {
			defer working.Done()
			work(n, one)
		}(n, one)
	}
	working.Wait()
}

// inTurn gives so many numbers from the first on to whichever client is free.
func inTurn(clients []*client, first, numbers int, do func(*client, int)) {
	next := int64(first)
	together(clients, func(_ int, one *client) {
		for {
			number := int(atomic.AddInt64(&next, 1)) - 1
			if number >= first+numbers {
				return
			}
			do(one, number)
		}
	})
}

func summary(clients []*client, seconds float64) Result {
	result := Result{Seconds: seconds, Failed: map[string]int{}}
	var took []time.Duration
	for _, one := range clients {
		took = append(took, one.took...)
		result.Connections += one.connections
		result.Resumed += one.resumed
		for what, times := range one.failures {
			result.Failures += times
			result.Failed[what] += times
		}
	}
	sort.Slice(took, func(a, b int) bool { return took[a] < took[b] })
	result.Operations = len(took)
	result.Throughput = float64(len(took)) / seconds
	result.P50, result.P99 = percentile(took, 50), percentile(took, 99)
	return result
}

// percentile is the nearest rank, in milliseconds: so many of a hundred took at most this.
func percentile(sorted []time.Duration, hundredths int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*hundredths + 99) / 100
	return float64(sorted[rank-1]) / float64(time.Millisecond)
}

// cpu is what this program has used, user and system, in seconds.
func cpu() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}
