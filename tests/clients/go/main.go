// Go's net/http over HTTP/1.1 and over HTTP/2 without TLS. Argument: host and port of the proxy.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

func body(response *http.Response, err error) []byte {
	if err != nil {
		fail("%v", err)
	}
	defer response.Body.Close()
	bytes, err := io.ReadAll(response.Body)
	if err != nil {
		fail("%v", err)
	}
	if response.StatusCode != 200 {
		fail("status %d: %s", response.StatusCode, bytes)
	}
	return bytes
}

func main() {
	origin := "http://" + os.Args[1]
	for major := 1; major <= 2; major++ {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(major == 1)
		protocols.SetUnencryptedHTTP2(major == 2)
		client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 30 * time.Second}
		sent := bytes.Repeat([]byte("0123456789abcdef"), 300_000)
		response, err := client.Post(origin+"/echo", "application/octet-stream", bytes.NewReader(sent))
		if got := body(response, err); !bytes.Equal(got, sent) {
			fail("HTTP/%d: %d bytes came back of %d", major, len(got), len(sent))
		}
		if response.ProtoMajor != major {
			fail("%s instead of HTTP/%d", response.Proto, major)
		}
		// A body whose length the client does not know.
		reader, writer := io.Pipe()
		go func() {
			for i := 0; i < 1000; i++ {
				fmt.Fprintf(writer, "%d\n", i)
			}
			writer.Close()
		}()
		request, _ := http.NewRequest("PUT", origin+"/echo", reader)
		response, err = client.Do(request)
		if lines := strings.Count(string(body(response, err)), "\n"); lines != 1000 {
			fail("HTTP/%d: %d lines", major, lines)
		}
		var all sync.WaitGroup
		for i := 0; i < 100; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				response, err := client.Get(fmt.Sprintf("%s/stream?pieces=%d", origin, i))
				if got := body(response, err); len(got) != 7*i {
					fail("HTTP/%d: %d bytes of %d pieces", major, len(got), i)
				}
			}()
		}
		all.Wait()
	}
}
