use std::env;
use std::io::{Read, Result, Write};
use std::os::unix::net::UnixStream;

fn send(mut parent: &UnixStream, message: &[u8]) -> Result<()> {
    parent.write_all(&(message.len() as u32).to_ne_bytes())?;
    parent.write_all(message)
}

fn main() -> Result<()> {
    let variable = |name| env::var(name).expect(name);
    let mut parent = UnixStream::connect(variable("SOCKETPAIR_PATH"))?;
    parent.write_all(variable("SOCKETPAIR_TOKEN").as_bytes())?;
    // If you start a Command, add .env_remove("SOCKETPAIR_TOKEN")

    send(&parent, b"hello from rust")?;
    let mut header = [0; 4];
    while parent.read(&mut header[..1])? == 1 {
        parent.read_exact(&mut header[1..])?;
        let mut message = vec![0; u32::from_ne_bytes(header) as usize];
        parent.read_exact(&mut message)?;
        message.reverse();
        send(&parent, &message)?;
    }
    Ok(())
}
