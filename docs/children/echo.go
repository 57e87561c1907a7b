package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	parent, err := net.Dial("unix", os.Getenv("SOCKETPAIR_PATH"))
	check(err)
	_, err = io.WriteString(parent, os.Getenv("SOCKETPAIR_TOKEN"))
	check(err)
	os.Unsetenv("SOCKETPAIR_PATH")
	os.Unsetenv("SOCKETPAIR_TOKEN")

	order := binary.LittleEndian // since Go 1.21: binary.NativeEndian
	send := func(message []byte) {
		frame := order.AppendUint32(nil, uint32(len(message)))
		_, err := parent.Write(append(frame, message...))
		check(err)
	}

	send([]byte("hello from go"))
	stream := bufio.NewReader(parent)
	for header := make([]byte, 4); ; {
		_, err := io.ReadFull(stream, header)
		if err == io.EOF {
			return
		}
		check(err)
		message := make([]byte, order.Uint32(header))
		_, err = io.ReadFull(stream, message)
		check(err)
		for i, j := 0, len(message)-1; i < j; i, j = i+1, j-1 {
			message[i], message[j] = message[j], message[i]
		}
		send(message)
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
