use super::*;

/// Any adapter; tests fail without one.
fn open(without: &[Feature]) -> Arc<Device> {
    let options = Options { allow_software: true, without: without.to_vec(), ..Options::default() };
    Device::open(&options).unwrap_or_else(|e| panic!("{e}; ./test installs a software one"))
}

fn buffer(device: &Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let label = Some("test");
    let usage = usage | wgpu::BufferUsages::COPY_DST;
    device.device.create_buffer(&wgpu::BufferDescriptor {
        label,
        size,
        usage,
        mapped_at_creation: false,
    })
}

#[test]
fn a_device_has_the_features_that_nobody_declined() {
    let device = open(&[]);
    let abilities = device.adapter().abilities;
    assert_eq!(device.has(Feature::F64), abilities.f64);
    assert_eq!(device.has(Feature::Int64), abilities.int64);
    assert_eq!(device.has(Feature::Subgroups), abilities.subgroups.is_some());
    assert_eq!(device.refusals(), []);
    assert!(device.limits.memory_bytes <= device.adapter().memory_bytes.unwrap_or(u64::MAX));

    let device = open(&Feature::ALL);
    assert_eq!(device.features, []);
    let none = wgpu::Features::SHADER_F64 | wgpu::Features::SHADER_INT64 | wgpu::Features::SUBGROUP;
    assert!(!device.device.features().intersects(none));
}

#[test]
fn limits_are_the_smaller_ones() {
    let limits = Limits { binding_bytes: 1 << 16, workgroups: 7, ..Limits::default() };
    let device = Device::open(&Options { allow_software: true, limits, ..Options::default() });
    let device = device.unwrap();
    assert_eq!((device.limits.binding_bytes, device.limits.workgroups), (1 << 16, 7));
    assert_eq!(device.limits.buffer_bytes, device.adapter().limits.buffer_bytes);
}

#[test]
fn numbers_come_back() {
    let device = open(&[]);
    let numbers: Vec<f64> = (0..1000).map(|k| f64::from(k) / 7.0).collect();
    let buffer = buffer(&device, 8000, wgpu::BufferUsages::COPY_SRC);
    device.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&numbers));
    assert_eq!(device.read::<f64>(&buffer, 0, 1000).unwrap(), numbers);
    assert_eq!(device.read::<f64>(&buffer, 80, 3).unwrap(), numbers[10..13]);
    assert!(device.read::<f64>(&buffer, 0, 0).unwrap().is_empty());
    device.check().unwrap();
}

#[test]
fn a_scope_catches_what_is_invalid_and_the_device_lives_on() {
    let device = open(&[]);
    let found = device.scope(|| buffer(&device, u64::MAX, wgpu::BufferUsages::STORAGE));
    let message = found.unwrap_err().to_string();
    assert!(message.starts_with(&device.info.name), "{message}");
    assert!(!message.contains('\n') && !message.ends_with('.'), "{message}");
    let panicked = device.scope(|| panic!("over {}", 9)).unwrap_err().to_string();
    assert!(panicked.ends_with(": over 9"), "{panicked}");
    device.check().unwrap();

    // A buffer that may not be copied from.
    let buffer = device.scope(|| buffer(&device, 16, wgpu::BufferUsages::STORAGE)).unwrap();
    assert!(device.read::<u32>(&buffer, 0, 4).is_err());
    device.check().unwrap();
}

#[test]
fn lack_of_memory_is_told_apart() {
    let device = open(&[]);
    let error = wgpu::Error::OutOfMemory { source: "2 GiB".into() };
    assert!(matches!(device.error_of(&error), Error::OutOfDeviceMemory(_)));
}

/// The software driver gives 2 TiB and more without having them, unless the process is limited.
#[cfg(target_os = "linux")]
#[test]
fn a_device_survives_lack_of_memory() {
    const CHILD: &str = "FLOWRAKE_TEST_LIMITED";
    if std::env::var_os(CHILD).is_none() {
        let test = std::env::current_exe().unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", r#"ulimit -v 12000000 && exec "$0" "$@""#]).arg(test).env(CHILD, "1");
        let name = "gpu::device::tests::a_device_survives_lack_of_memory";
        let output = shell.args(["--exact", name, "--nocapture"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{output:?}");
        return;
    }
    let options = Options { adapter: Some("llvmpipe".to_owned()), ..Options::default() };
    let device = Device::open(&options).unwrap_or_else(|e| panic!("{e}; ./test installs it"));
    let next = || device.scope(|| buffer(&device, 1 << 30, wgpu::BufferUsages::STORAGE));
    let mut kept = Vec::new();
    let problem = (0..16).find_map(|_| next().map(|buffer| kept.push(buffer)).err());
    assert!(matches!(problem, Some(Error::OutOfDeviceMemory(_))), "{problem:?}");
    drop(kept);
    next().unwrap();
    device.check().unwrap();
}

#[test]
fn a_lost_device_is_an_error_everywhere() {
    let device = open(&[]);
    let buffer = buffer(&device, 16, wgpu::BufferUsages::COPY_SRC);
    device.device.destroy();
    let message = device.read::<u32>(&buffer, 0, 4).unwrap_err().to_string();
    assert!(message.starts_with(&device.info.name), "{message}");
    assert!(message.contains("the device was lost"), "{message}");
    assert!(device.scope(|| ()).is_err() && device.check().is_err());
}

#[test]
fn unknown_features_are_errors() {
    assert_eq!(features_of("").unwrap(), []);
    assert_eq!(features_of("f64, subgroups,").unwrap(), [Feature::F64, Feature::Subgroups]);
    let message = features_of("int64,f16").unwrap_err().to_string();
    assert!(message.ends_with("found `f16`"), "{message}");
}
